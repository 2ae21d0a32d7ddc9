// @vitest-environment happy-dom
import { decode, encode } from "@msgpack/msgpack";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Action, INITIAL, type State, reduce } from "../lib/state";
import { PointStore } from "../lib/store";
import { Api } from "./api";
import { Session } from "./session";

/** The server's end of the live socket. */
class FakeSocket {
  static readonly OPEN = 1;
  static newest: FakeSocket | null = null;
  readyState = 0;
  binaryType = "";
  subscribed: unknown[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor() {
    FakeSocket.newest = this;
  }
  send(data: Uint8Array): void {
    this.subscribed.push(decode(data));
  }
  close(): void {
    this.onclose?.();
  }
}

const bytes = (values: readonly number[]): Uint8Array => new Uint8Array(Float64Array.from(values).buffer);

/** A server of one run "r": what it has is in `points`, what it was asked in `asked`. */
class World {
  points = new Map<string, Map<number, number>>();
  events: unknown[] = [];
  asked: URL[] = [];
  nowMs = 10_000;
  backs: number[] = [];
  state: State = INITIAL;
  readonly store = new PointStore();
  readonly session: Session;

  constructor() {
    vi.stubGlobal("fetch", (address: URL) => Promise.resolve(new Response(JSON.stringify(this.answer(address)))));
    this.session = new Session({
      api: new Api(new URL("http://host/"), () => "t"),
      socketAddress: new URL("ws://host/ws/live"),
      store: this.store,
      state: () => this.state,
      dispatch: (action: Action) => (this.state = reduce(this.state, action)),
      onPoints: () => undefined,
      onHistory: () => undefined,
      onSelected: () => undefined,
      onRollback: (to) => this.backs.push(to),
      nowMs: () => this.nowMs,
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
    if (FakeSocket.newest !== null) FakeSocket.newest.readyState = 1;
    FakeSocket.newest?.onopen?.();
    await this.settle();
  }

  async settle(): Promise<void> {
    await vi.advanceTimersByTimeAsync(100);
    await new Promise((resolve) => setImmediate(resolve));
    await vi.advanceTimersByTimeAsync(1);
  }

  /** A message arrives, and nothing else has happened yet. */
  say(message: Record<string, unknown>): void {
    FakeSocket.newest?.onmessage?.({ data: new Uint8Array(encode(message)).buffer });
  }

  async tell(message: Record<string, unknown>): Promise<void> {
    this.say(message);
    await this.settle();
  }

  live(name: string, steps: readonly number[], values: readonly number[] = steps): Promise<void> {
    return this.tell({
      type: "points",
      run: "r",
      series: [name],
      n: steps.length,
      steps: bytes(steps),
      values: bytes(values),
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
    if (what === "runs") return { items: [{ id: "r", state: "running" }] };
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
      const values = its.map(([, value]) => value);
      const none = its.map(() => 0);
      const ones = its.map(() => 1);
      const one = { step: its.map(([step]) => step), min: values, max: values, last: values, mean: values };
      return [name, { ...one, nan: none, pos_inf: none, neg_inf: none, count: ones }];
    });
    const last = Math.max(...[...this.points.values()].flatMap((its) => [...its.keys()]));
    return { series: Object.fromEntries(series) as unknown, last_step: last };
  }
}

let world: World;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
  vi.stubGlobal("WebSocket", FakeSocket);
  world = new World();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const upTo = (count: number, from = 0): number[] => Array.from({ length: count - from }, (_, i) => from + i);

it("loads history and goes on with what comes live", async () => {
  world.put("loss/total", upTo(5));
  await world.begin();
  await world.live("loss/total", [5, 6]);
  expect(world.stepsOf("loss/total")).toEqual(upTo(7));
});

describe("a crowd", () => {
  it("of 500 parameters is asked for its newest values, and for the curves of the twelve largest only", async () => {
    for (const i of upTo(500)) world.put(`param_grad_norm/layer.${i}.weight`, upTo(40), () => i);
    world.put("loss/total", upTo(40));
    await world.begin();
    const curves = world
      .askedPoints()
      .filter((names) => names.length <= 30 && names.some((n) => n.startsWith("param")));
    expect(curves.flat().sort()).toEqual(upTo(500, 488).map((i) => `param_grad_norm/layer.${i}.weight`));
    const newest = world.asked.filter((url) => url.searchParams.get("width") === "1");
    expect(newest.every((url) => url.searchParams.get("from") === "39" && url.href.length < 7000)).toBe(true);
    expect(newest.length).toBeLessThanOrEqual(6);
    expect(world.store.buffers.size).toBe(13);
    expect(world.stepsOf("param_grad_norm/layer.499.weight")).toEqual(upTo(40));
  });

  it("loads who has become one of the largest, not more often than every few seconds", async () => {
    for (const i of upTo(50)) world.put(`param_grad_norm/p${i}`, upTo(10), () => i);
    await world.begin();
    await world.live("loss/total", [10]);
    world.put("param_grad_norm/p3", [10], () => 1e9);
    await world.live("param_grad_norm/p3", [10], [1e9]);
    expect(world.stepsOf("param_grad_norm/p3")).toEqual([]);
    world.nowMs += 6000;
    await world.live("loss/total", [11]);
    expect(world.stepsOf("param_grad_norm/p3")).toEqual(upTo(11));
  });
});

describe("a rollback", () => {
  const rollback = {
    type: "event",
    run: "r",
    event: { kind: "rollback", step: 9, time_s: 1, data: { from: 9, to: 4 } },
  };

  /** The older branch 0..8 is on the screen; the server has gone back to 4. */
  async function begun(): Promise<void> {
    world.put("loss/total", upTo(9));
    world.put("late/series", [6, 7]);
    await world.begin();
    world.points.delete("late/series");
    world.points.set("loss/total", new Map(upTo(4).map((step) => [step, step])));
  }

  it("takes the older branch off the screen and goes on with the new one", async () => {
    await begun();
    world.say(rollback);
    expect([world.backs, world.stepsOf("loss/total")]).toEqual([[4], upTo(4)]);
    await world.settle();
    expect(world.stepsOf("loss/total")).toEqual(upTo(4));
    expect(world.store.buffers.has("late/series")).toBe(false);
    await world.live("loss/total", [4, 5], [40, 50]);
    expect(world.stepsOf("loss/total")).toEqual(upTo(6));
    expect(world.store.buffers.get("loss/total")?.latest()).toBe(50);
    expect(world.state.detail.events).toHaveLength(1);
  });

  it("is not mixed with rows of the older branch that were still under way", async () => {
    await begun();
    world.put("loss/total", [4], () => 40);
    const told = world.tell(rollback);
    void world.live("loss/total", [9, 10], [9, 10]);
    void world.live("loss/total", [4], [40]);
    await told;
    await world.settle();
    await world.live("loss/total", [5], [50]);
    expect(world.stepsOf("loss/total")).toEqual(upTo(6));
    expect(world.store.buffers.get("loss/total")?.valueAt(4)).toBe(40);
  });

  it("that this viewer missed is made good by a resync", async () => {
    await begun();
    await world.tell({ type: "resync", run: "r" });
    expect(world.stepsOf("loss/total")).toEqual(upTo(4));
    expect(world.store.buffers.has("late/series")).toBe(false);
    await world.live("loss/total", [4], [40]);
    expect(world.store.extent()).toEqual([0, 4]);
  });

  it("loads the points once, though event, resync and declaration all ask for it", async () => {
    await begun();
    world.asked = [];
    world.say(rollback);
    world.say({ type: "declaration", run: "r" });
    await world.tell({ type: "resync", run: "r" });
    expect(world.askedPoints()).toEqual([["loss/total"]]);
  });

  it("of another run changes nothing here", async () => {
    await begun();
    await world.tell({ ...rollback, run: "other" });
    expect([world.backs, world.stepsOf("loss/total")]).toEqual([[], upTo(9)]);
  });
});
