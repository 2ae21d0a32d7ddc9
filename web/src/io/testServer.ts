/**
 * A server of one run "r" and a session that shows it: HTTP and the live socket are the test's.
 *
 * Rules of this file: the server answers a subscription as it comes, as the real one does; what it has is in `points`,
 * what it was asked in `asked`.
 */
import { decode, encode } from "@msgpack/msgpack";
import { afterEach, beforeEach, vi } from "vitest";
import type { StepRange } from "../lib/fold";
import { type Fields, fields } from "../lib/decode";
import { type Action, INITIAL, type State, reduce } from "../lib/state";
import { PointStore } from "../lib/store";
import { packed, packedBuckets } from "../lib/testBuckets";
import { Api } from "./api";
import { Session } from "./session";

/** The server's end of the live socket. */
export class FakeSocket {
  static readonly OPEN = 1;
  static newest: FakeSocket | null = null;
  static onSubscribe: (message: Fields) => void = () => undefined;
  readyState = 0;
  binaryType = "";
  subscribed: Fields[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor() {
    FakeSocket.newest = this;
  }
  send(data: Uint8Array): void {
    const message = fields(decode(data));
    this.subscribed.push(message);
    FakeSocket.onSubscribe(message);
  }
  close(): void {
    this.readyState = 3;
    this.onclose?.();
  }
}

export class World {
  points = new Map<string, Map<number, number>>();
  events: unknown[] = [];
  asked: URL[] = [];
  nowMs = 10_000;
  /** whether the server holds what was missed since a cursor */
  holds = true;
  /** the server's answers to subscriptions wait here until they are let go */
  heldBack: (() => void)[] | null = null;
  /** an answer in the place of the points' */
  garbled: Uint8Array | null = null;
  isAway = false;
  /** the series of the charts on the screen */
  inView: ReadonlySet<string> = new Set();
  /** pixels of a chart */
  columns = 700;
  /** the last steps, where the charts show these */
  lastSteps: StepRange | null = null;
  private cursor = 0;
  backs: number[] = [];
  /** how often the address was said to name no run */
  missing = 0;
  runs: unknown[] = [{ id: "r", state: "running" }];
  /** what the socket tells while the list of runs is under way */
  tellsMeanwhile: Fields[] = [];
  state: State = INITIAL;
  readonly store = new PointStore();
  readonly session: Session;

  constructor() {
    FakeSocket.onSubscribe = (message) => this.answerSubscription(message);
    vi.stubGlobal("fetch", (address: URL) => {
      if (this.isAway) return Promise.reject(new TypeError("away"));
      if (address.pathname.endsWith("/runs")) queueMicrotask(() => this.tellsMeanwhile.splice(0).forEach((message) => this.say(message)));
      const isPoints = address.pathname.endsWith("/points");
      const answer = this.answer(address);
      const body = isPoints ? (this.garbled ?? encode(answer)) : JSON.stringify(answer);
      return Promise.resolve(new Response(new Blob([body as BlobPart])));
    });
    this.session = new Session({
      api: new Api(new URL("http://host/"), () => "t"),
      socketAddress: new URL("ws://host/ws/live"),
      store: this.store,
      state: () => this.state,
      dispatch: (action: Action) => (this.state = reduce(this.state, action)),
      onPoints: () => undefined,
      onHistory: () => undefined,
      onSelected: () => undefined,
      onMissing: () => (this.missing += 1),
      onRollback: (to) => this.backs.push(to),
      nowMs: () => this.nowMs,
      inView: () => this.inView,
      columns: () => this.columns,
      lastSteps: () => this.lastSteps,
    });
  }

  put(name: string, steps: readonly number[], valueOf: (step: number) => number = (step) => step): void {
    const known = this.points.get(name) ?? new Map<number, number>();
    for (const step of steps) known.set(step, valueOf(step));
    this.points.set(name, known);
  }

  async begin(): Promise<void> {
    this.session.start("r");
    await this.settle();
    await this.accept();
  }

  async accept(): Promise<void> {
    if (FakeSocket.newest !== null) FakeSocket.newest.readyState = 1;
    FakeSocket.newest?.onopen?.();
    await this.settle();
  }

  /** The connection breaks, and the page comes back. */
  async comeBack(): Promise<void> {
    FakeSocket.newest?.close();
    await vi.advanceTimersByTimeAsync(500);
    this.asked = [];
    await this.accept();
  }

  lastSubscription(): Fields {
    return FakeSocket.newest?.subscribed.at(-1) ?? {};
  }

  /** `subscribed`, and where the cursor does not fit a `resync` behind it; in a moment, as over a network. */
  private answerSubscription({ run, cursor }: Fields): void {
    const isResumed = cursor !== undefined && this.holds;
    const go = (): void => {
      this.say({ type: "subscribed", run, resumed: isResumed });
      if (cursor !== undefined && !isResumed) this.say({ type: "resync", run });
    };
    if (this.heldBack === null) queueMicrotask(go);
    else this.heldBack.push(go);
  }

  async settle(): Promise<void> {
    await vi.advanceTimersByTimeAsync(100);
    await new Promise((resolve) => setImmediate(resolve));
    await vi.advanceTimersByTimeAsync(1);
  }

  /** A message arrives, and nothing else has happened yet. */
  say(message: Fields): void {
    const stamped = { ...message, cursor: `boot.${(this.cursor += 1)}` };
    FakeSocket.newest?.onmessage?.({ data: new Uint8Array(encode(stamped)).buffer });
  }

  async tell(message: Fields): Promise<void> {
    this.say(message);
    await this.settle();
  }

  live(name: string, steps: readonly number[], values: readonly number[] = steps): Promise<void> {
    return this.tell({
      type: "points",
      run: "r",
      series: [name],
      n: steps.length,
      steps: packed(steps),
      values: packed(values),
    });
  }

  stepsOf(name: string): number[] {
    const buffer = this.store.buffers.get(name);
    return buffer === undefined ? [] : [...buffer.steps.subarray(0, buffer.length)];
  }

  askedPoints(): string[][] {
    return this.asked.filter((url) => url.pathname.endsWith("/points")).map((url) => url.searchParams.getAll("series"));
  }

  private answer(url: URL): unknown {
    this.asked.push(url);
    const what = url.pathname.split("/").at(-1);
    if (what === "me") return { scopes: ["control"] };
    if (what === "ticket") return { ticket: "x" };
    if (what === "runs") return { items: this.runs };
    if (what === "events") return { items: this.events };
    if (what === "points") return this.pointsOf(url.searchParams);
    if (what !== "series") return { items: [] };
    const items = [...this.points].map(([name, its]) => ({ name, last_step: Math.max(...its.keys()) }));
    return { items };
  }

  private pointsOf(query: URLSearchParams): unknown {
    const from = Number(query.get("from") ?? -Infinity);
    const to = Number(query.get("to") ?? Infinity);
    const series = query.getAll("series").map((name) => {
      const its = [...(this.points.get(name) ?? [])].filter(([step]) => step >= from && step <= to);
      return [
        name,
        packedBuckets(
          its.map(([step]) => step),
          its.map(([, value]) => value),
        ),
      ];
    });
    const last = Math.max(...[...this.points.values()].flatMap((its) => [...its.keys()]));
    return { series: Object.fromEntries(series) as unknown, last_step: last };
  }
}

type FakeMethod = "setTimeout" | "clearTimeout" | "setInterval" | "clearInterval" | "queueMicrotask";
const TIMERS: readonly FakeMethod[] = ["setTimeout", "clearTimeout", "setInterval", "clearInterval"];

/** Before each test of a file a world of its own, with a socket and timers that are not real; after it the real ones. */
export function eachTestInItsWorld(begin: (world: World) => void, more: readonly FakeMethod[] = []): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: [...TIMERS, ...more] });
    vi.stubGlobal("WebSocket", FakeSocket);
    begin(new World());
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
}
