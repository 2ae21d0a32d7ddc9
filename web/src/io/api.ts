/**
 * Asks the server over HTTP.
 *
 * Rules of this file: three kinds of failure, and a caller can tell them apart: the server refused (Refused, with its
 * sentence), it could not be reached (Unreachable), or its answer cannot be read (Unreadable).
 */
import { decode } from "@msgpack/msgpack";
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

/** The server answered something that is not what it should be. */
export class Unreadable extends Error {
  override readonly name = "Unreadable";
  constructor() {
    super("The server's answer cannot be read.");
  }
}

const JSON_TYPE = "application/json";
const PACKED_TYPE = "application/msgpack";
const TIMEOUT_MS = 15_000;

export class Api {
  constructor(
    private readonly base: URL,
    private readonly token: () => string | null,
  ) {}

  get(path: string, signal?: AbortSignal): Promise<unknown> {
    return this.ask(path, { method: "GET", ...(signal === undefined ? {} : { signal }) });
  }

  /** The answer in msgpack, where numbers are packed and a non-finite one is itself. */
  async getPacked(path: string, signal?: AbortSignal): Promise<unknown> {
    const answer = await this.send(path, { method: "GET", ...(signal === undefined ? {} : { signal }) }, PACKED_TYPE);
    if (!answer.ok) throw await refusalOf(answer);
    const bytes = await answer.arrayBuffer().catch(unreachable);
    try {
      return decode(new Uint8Array(bytes));
    } catch {
      throw new Unreadable();
    }
  }

  post(path: string, body: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return this.ask(path, { method: "POST", body: JSON.stringify(body) });
  }

  private async ask(path: string, init: RequestInit): Promise<unknown> {
    const answer = await this.send(path, init);
    if (!answer.ok) throw await refusalOf(answer);
    const body: unknown = await answer.json().catch(() => null);
    return body;
  }

  private async send(path: string, init: RequestInit, kind = JSON_TYPE): Promise<Response> {
    const headers: Record<string, string> = { Accept: kind };
    const token = this.token();
    if (token !== null) headers["Authorization"] = `Bearer ${token}`;
    if (init.body !== undefined) headers["Content-Type"] = JSON_TYPE;
    const late = AbortSignal.timeout(TIMEOUT_MS);
    const signal = init.signal ? AbortSignal.any([late, init.signal]) : late;
    try {
      return await fetch(new URL(path, this.base), {
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
  }
}

async function refusalOf(answer: Response): Promise<Refused> {
  const refusal = fields(await answer.json().catch(() => null));
  return new Refused(
    answer.status,
    text(refusal["error"]),
    text(refusal["message"]) || `The server answered ${answer.status}.`,
    text(refusal["hint"]),
  );
}

function unreachable(): never {
  throw new Unreachable();
}
