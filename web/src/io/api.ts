/**
 * Asks the server over HTTP.
 *
 * Rules of this file: two kinds of failure, and a caller can tell them apart: the server refused (Refused, with its
 * sentence), or it could not be reached (Unreachable).
 */
import { fields, text } from "../lib/decode";

/** The server refused a request. */
export class Refused extends Error {
  override readonly name = "Refused";
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

/** The server could not be reached, or did not answer in time. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
  constructor() {
    super("The server cannot be reached.");
  }
}

const TIMEOUT_MS = 15_000;

export class Api {
  constructor(
    private readonly base: URL,
    private readonly token: () => string | null,
  ) {}

  get(path: string, signal?: AbortSignal): Promise<unknown> {
    return this.ask(path, { method: "GET", ...(signal === undefined ? {} : { signal }) });
  }

  post(path: string, body: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return this.ask(path, { method: "POST", body: JSON.stringify(body) });
  }

  private async ask(path: string, init: RequestInit): Promise<unknown> {
    const headers: Record<string, string> = { Accept: "application/json" };
    const token = this.token();
    if (token !== null) headers["Authorization"] = `Bearer ${token}`;
    if (init.body !== undefined) headers["Content-Type"] = "application/json";
    const late = AbortSignal.timeout(TIMEOUT_MS);
    const signal = init.signal ? AbortSignal.any([late, init.signal]) : late;
    let answer: Response;
    try {
      answer = await fetch(new URL(path, this.base), {
        ...init,
        headers,
        signal,
        credentials: "omit",
        cache: "no-store",
      });
    } catch (cause) {
      if (init.signal?.aborted) throw cause;
      throw new Unreachable();
    }
    const body: unknown = await answer.json().catch(() => null);
    if (answer.ok) return body;
    const refusal = fields(body);
    throw new Refused(
      answer.status,
      text(refusal["error"]),
      text(refusal["message"]) || `The server answered ${answer.status}.`,
      text(refusal["hint"]),
    );
  }
}
