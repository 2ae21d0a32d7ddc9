/**
 * Asks the server over HTTP.
 *
 * Rules of this file: three kinds of failure, and a caller can tell them apart: the server refused (Refused, with its
 * sentence), it could not be reached (Unreachable), or its answer cannot be read (Unreadable).
 */
import { decode } from "@msgpack/msgpack";
import { type Fields, fields, fieldsOrNull, text } from "../lib/decode";

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
const LINES_TYPE = "application/x-ndjson";
/** The server ends a backtest after 300 s, and it may wait its turn before. */
const LINES_TIMEOUT_MS = 330_000;

const FILE_TIMEOUT_MS = 600_000;
const UNAUTHORISED = 401;

/** How long somebody waits for an answer: so long, or until it is given up. */
export interface Patience {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

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

  /** The answer as it is written, for a file: reading and writing it again might change a digit. */
  async getText(path: string): Promise<string> {
    const answer = await this.send(path, { method: "GET" });
    if (!answer.ok) throw await refusalOf(answer);
    return answer.text().catch(unreachable);
  }

  /** The answer as a file, which may be long: it takes as long as it takes. */
  async getFile(path: string): Promise<Blob> {
    const answer = await this.send(path, { method: "GET" }, "*/*", FILE_TIMEOUT_MS);
    if (!answer.ok) throw await refusalOf(answer);
    return answer.blob().catch(unreachable);
  }

  post(path: string, body: Readonly<Record<string, unknown>> = {}, patience: Patience = {}): Promise<unknown> {
    const { signal, timeoutMs } = patience;
    const init = { method: "POST", body: JSON.stringify(body), ...(signal === undefined ? {} : { signal }) };
    return this.ask(path, init, timeoutMs);
  }

  put(path: string, body: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.ask(path, { method: "PUT", body: JSON.stringify(body) });
  }

  patch(path: string, body: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.ask(path, { method: "PATCH", body: JSON.stringify(body) });
  }

  remove(path: string): Promise<unknown> {
    return this.ask(path, { method: "DELETE" });
  }

  /** An answer that comes line by line, each a JSON value; a refusal may also be the last of them. */
  async postLines(
    path: string,
    body: Readonly<Record<string, unknown>>,
    onLine: (line: unknown) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const init = { method: "POST", body: JSON.stringify(body), signal };
    const answer = await this.send(path, init, LINES_TYPE, LINES_TIMEOUT_MS);
    if (!answer.ok) throw await refusalOf(answer);
    for await (const line of linesOf(answer)) {
      const refusal = fieldsOrNull(fields(line)["error"]);
      if (refusal !== null) throw refusedBy(answer.status, refusal);
      onLine(line);
    }
  }

  private async ask(path: string, init: RequestInit, timeoutMs = TIMEOUT_MS): Promise<unknown> {
    const answer = await this.send(path, init, JSON_TYPE, timeoutMs);
    if (!answer.ok) throw await refusalOf(answer);
    const body: unknown = await answer.json().catch(() => null);
    return body;
  }

  /**
   * A token may be given while a request without it, or with an older one, is under way: what was refused for that was
   * not carried out, and is asked once more.
   */
  private async send(
    path: string,
    init: RequestInit,
    kind = JSON_TYPE,
    timeoutMs = TIMEOUT_MS,
  ): Promise<Response> {
    const token = this.token();
    const answer = await this.fetched(path, init, headersOf(token, kind, init), timeoutMs);
    const newer = this.token();
    if (answer.status !== UNAUTHORISED || newer === token) return answer;
    return this.fetched(path, init, headersOf(newer, kind, init), timeoutMs);
  }

  private async fetched(
    path: string,
    init: RequestInit,
    headers: Record<string, string>,
    timeoutMs: number,
  ): Promise<Response> {
    const late = AbortSignal.timeout(timeoutMs);
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

function headersOf(token: string | null, kind: string, init: RequestInit): Record<string, string> {
  return {
    Accept: kind,
    ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
    ...(init.body === undefined ? {} : { "Content-Type": JSON_TYPE }),
  };
}

async function refusalOf(answer: Response): Promise<Refused> {
  return refusedBy(answer.status, fields(await answer.json().catch(() => null)));
}

function refusedBy(status: number, refusal: Fields): Refused {
  return new Refused(
    status,
    text(refusal["error"]),
    text(refusal["message"]) || `The server answered ${status}.`,
    text(refusal["hint"]),
  );
}

async function* linesOf(answer: Response): AsyncGenerator {
  let rest = "";
  const decoder = new TextDecoder();
  const reader = answer.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read().catch(interrupted)) ?? { done: true, value: undefined };
    rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
    const lines = rest.split("\n");
    rest = done ? "" : (lines.pop() ?? "");
    for (const line of lines) if (line.trim() !== "") yield parsed(line);
    if (done) return;
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new Unreadable();
  }
}

/** A stream breaks off because the caller gave it up, or because the server is gone. */
function interrupted(reason: unknown): never {
  if (reason instanceof DOMException && reason.name === "AbortError") throw reason;
  throw new Unreachable();
}

function unreachable(): never {
  throw new Unreachable();
}
