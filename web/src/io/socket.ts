/**
 * The live socket: opens it with a fresh ticket, opens it again when it breaks.
 *
 * Rules of this file: it never gives up and never asks a person to reload; a broken connection is waited out with growing
 * pauses, and each new one begins with a greeting that says what is followed.
 */
import { decode, encode } from "@msgpack/msgpack";
import { type Fields, fields, text } from "../lib/decode";
import { Refused } from "./api";

const SUBPROTOCOL = "lossguard.live.1";
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 5_000;

/** The pause before attempt 1, 2, 3...: doubling, with up to a third taken off so that many pages do not come at once. */
export function pauseMs(attempt: number, chance: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt - 1, 10)) * (1 - chance / 3);
}

export interface SocketListeners {
  /** what is said first on a new connection */
  readonly greeting: () => Fields;
  /** connected, and the greeting is said */
  readonly onUp: () => void;
  readonly onDown: () => void;
  readonly onMessage: (type: string, message: Fields) => void;
  readonly onTokenRefused: () => void;
}

export class LiveSocket {
  private socket: WebSocket | null = null;
  private attempt = 0;
  private timer: number | null = null;
  private isOpening = false;
  /** when the last message came, by `performance.now()` */
  heardAtMs = 0;

  constructor(
    private readonly address: URL,
    private readonly newTicket: () => Promise<string>,
    private readonly listeners: SocketListeners,
  ) {}

  /** Sends a message; false where there is no connection. */
  say(message: Fields): boolean {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(encode(message));
    return true;
  }

  /** Opens the socket now, unless it is open or about to be. */
  open(): void {
    if (this.isOpening || this.socket !== null) return;
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
    this.isOpening = true;
    this.newTicket()
      .then((ticket) => this.connect(ticket))
      .catch((reason: unknown) => this.failed(reason))
      .finally(() => {
        this.isOpening = false;
      });
  }

  /** Drops a connection that does not answer; the usual reconnecting follows. */
  drop(): void {
    const { socket } = this;
    if (socket === null) return;
    socket.onclose = null;
    socket.close();
    this.closed();
  }

  private connect(ticket: string): void {
    const socket = new WebSocket(this.address, [SUBPROTOCOL, `ticket.${ticket}`]);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.attempt = 0;
      this.heardAtMs = performance.now();
      socket.send(encode(this.listeners.greeting()));
      this.listeners.onUp();
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      this.heardAtMs = performance.now();
      if (event.data instanceof ArrayBuffer) this.received(event.data);
    };
    socket.onclose = () => this.closed();
  }

  /** A message that cannot be read is left out: the page must go on showing what it can. */
  private received(data: ArrayBuffer): void {
    try {
      const message = fields(decode(new Uint8Array(data)));
      this.listeners.onMessage(text(message["type"]), message);
    } catch (cause) {
      console.warn("lossguard: a message could not be read", cause);
    }
  }

  private closed(): void {
    this.socket = null;
    this.listeners.onDown();
    this.again();
  }

  private failed(reason: unknown): void {
    if (reason instanceof Refused && reason.status === 401) {
      this.listeners.onTokenRefused();
      return;
    }
    this.listeners.onDown();
    this.again();
  }

  private again(): void {
    this.attempt += 1;
    this.timer = window.setTimeout(
      () => {
        this.timer = null;
        this.open();
      },
      pauseMs(this.attempt, Math.random()),
    );
  }
}
