import { decode, encode } from "@msgpack/msgpack";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Refused } from "./api";
import { LiveSocket, type SocketListeners } from "./socket";

/** A socket whose other end is the test. */
class FakeSocket {
  static readonly OPEN = 1;
  static made: FakeSocket[] = [];
  readyState = 0;
  sent: unknown[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor(
    readonly address: URL,
    readonly protocols: string[],
  ) {
    FakeSocket.made.push(this);
  }
  send(data: Uint8Array): void {
    this.sent.push(decode(data));
  }
  accept(): void {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.();
  }
  tell(message: unknown): void {
    this.onmessage?.({ data: new Uint8Array(encode(message)).buffer });
  }
  close(): void {
    this.onclose?.();
  }
}

type Heard = { [name in keyof SocketListeners]: ReturnType<typeof vi.fn> };

function world(newTicket: () => Promise<string> = () => Promise.resolve("t1")): { socket: LiveSocket; heard: Heard } {
  const greeting = vi.fn(() => ({ type: "hello" }));
  const heard = { greeting, onUp: vi.fn(), onDown: vi.fn(), onMessage: vi.fn(), onTokenRefused: vi.fn() };
  return { socket: new LiveSocket(new URL("ws://host/ws/live"), newTicket, heard), heard };
}

beforeEach(() => {
  FakeSocket.made = [];
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("window", { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("offers its ticket as a subprotocol and greets before anything is loaded", async () => {
  const { socket, heard } = world();
  socket.open();
  await vi.runAllTimersAsync();
  const [made] = FakeSocket.made;
  expect(made?.protocols).toEqual(["lossguard.live.1", "ticket.t1"]);
  expect(heard.onUp).not.toHaveBeenCalled();
  made?.accept();
  expect(made?.sent).toEqual([{ type: "hello" }]);
  expect(heard.onUp).toHaveBeenCalledOnce();
});

it("comes back by itself with the greeting of now, and with a new ticket", async () => {
  let tickets = 0;
  const { socket, heard } = world(() => Promise.resolve(`t${(tickets += 1)}`));
  socket.open();
  await vi.runAllTimersAsync();
  FakeSocket.made[0]?.accept();
  heard.greeting.mockReturnValue({ type: "hello again" });
  FakeSocket.made[0]?.close();
  expect(heard.onDown).toHaveBeenCalledOnce();
  await vi.advanceTimersByTimeAsync(400);
  FakeSocket.made[1]?.accept();
  expect(FakeSocket.made[1]?.protocols).toContain("ticket.t2");
  expect(FakeSocket.made[1]?.sent).toEqual([{ type: "hello again" }]);
  expect(heard.onUp).toHaveBeenCalledTimes(2);
});

it("goes on trying while the server is away, and stops when the token is refused", async () => {
  const ticket = vi.fn(() => Promise.reject(new Error("unreachable")));
  const { socket, heard } = world(ticket);
  socket.open();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(ticket.mock.calls.length).toBeGreaterThan(8);
  ticket.mockImplementation(() => Promise.reject(new Refused(401, "token", "no", "")));
  await vi.advanceTimersByTimeAsync(6_000);
  const asked = ticket.mock.calls.length;
  expect(heard.onTokenRefused).toHaveBeenCalledOnce();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(ticket.mock.calls.length).toBe(asked);
});

it("hands on messages, and survives one that it cannot read", async () => {
  const complaint = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const { socket, heard } = world();
  socket.open();
  await vi.runAllTimersAsync();
  FakeSocket.made[0]?.accept();
  FakeSocket.made[0]?.onmessage?.({ data: new Uint8Array([0xc1]).buffer });
  FakeSocket.made[0]?.tell({ type: "run", run: { total: NaN } });
  expect(complaint).toHaveBeenCalledOnce();
  expect(heard.onMessage).toHaveBeenCalledExactlyOnceWith("run", { type: "run", run: { total: NaN } });
});

it("says something only where somebody hears it", async () => {
  const { socket } = world();
  expect(socket.say({ type: "x" })).toBe(false);
  socket.open();
  await vi.runAllTimersAsync();
  expect(socket.say({ type: "x" })).toBe(false);
  FakeSocket.made[0]?.accept();
  expect([socket.say({ type: "x" }), FakeSocket.made[0]?.sent.at(-1)]).toEqual([true, { type: "x" }]);
  FakeSocket.made[0]?.close();
  expect(socket.say({ type: "y" })).toBe(false);
});
