// @vitest-environment happy-dom
import { encode } from "@msgpack/msgpack";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { FakeSocket, type World, eachTestInItsWorld } from "./testServer";

let world: World;
eachTestInItsWorld((made) => {
  world = made;
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

describe("a connection that broke", () => {
  beforeEach(() => world.put("loss/total", upTo(5)));

  it("goes on at its cursor and loads nothing", async () => {
    await world.begin();
    await world.live("loss/total", [5]);
    await world.comeBack();
    expect(world.lastSubscription()).toEqual({ type: "subscribe", run: "r", cursor: "boot.3" });
    await world.live("loss/total", [6]);
    expect([world.askedPoints(), world.stepsOf("loss/total")]).toEqual([[], upTo(7)]);
  });

  it("loads everything when the server says so, and the curves stay until that is there", async () => {
    await world.begin();
    const asked = world.asked.length;
    expect(asked).toBeGreaterThan(5);
    world.put("loss/total", upTo(9));
    world.holds = false;
    FakeSocket.newest?.close();
    await vi.advanceTimersByTimeAsync(500);
    world.asked = [];
    const back = world.accept();
    expect(world.stepsOf("loss/total")).toEqual(upTo(5));
    await back;
    expect(world.stepsOf("loss/total")).toEqual(upTo(9));
    const what = new Set(world.asked.map((url) => url.pathname.split("/").at(-1)));
    for (const each of ["points", "alerts", "commands", "events", "series"]) expect(what).toContain(each);
    expect(world.askedPoints()).toHaveLength(1);
  });

  it("before history was there begins anew", async () => {
    world.garbled = new Uint8Array([0xc1]);
    await world.begin();
    world.garbled = null;
    await world.comeBack();
    expect(world.lastSubscription()).toEqual({ type: "subscribe", run: "r" });
    expect(world.stepsOf("loss/total")).toEqual(upTo(5));
  });

  it("while a resync was being followed begins anew", async () => {
    await world.begin();
    world.isAway = true;
    await world.tell({ type: "resync", run: "r" });
    world.isAway = false;
    await world.comeBack();
    expect(world.lastSubscription()).not.toHaveProperty("cursor");
    expect(world.askedPoints()).toEqual([["loss/total"]]);
  });
});

it("loads only when its subscription is in force", async () => {
  world.put("loss/total", upTo(5));
  world.heldBack = [];
  await world.begin();
  expect(world.askedPoints()).toEqual([]);
  world.put("loss/total", upTo(8));
  for (const go of world.heldBack) go();
  await world.settle();
  expect(world.stepsOf("loss/total")).toEqual(upTo(8));
});

it("follows nothing of a run that it left, though answers and messages of it are still under way", async () => {
  world.put("loss/total", upTo(5));
  await world.begin();
  world.heldBack = [];
  world.session.select("other");
  world.session.select("r");
  world.asked = [];
  const [first, second] = world.heldBack;
  first?.();
  await world.live("loss/total", [7]);
  expect(world.askedPoints()).toEqual([]);
  second?.();
  await world.settle();
  expect(world.askedPoints()).toEqual([["loss/total"]]);
});

it("tries again when a load did not reach the server", async () => {
  world.put("loss/total", upTo(5));
  await world.begin();
  world.put("loss/total", upTo(9));
  world.isAway = true;
  await world.tell({ type: "resync", run: "r" });
  expect(world.stepsOf("loss/total")).toEqual(upTo(5));
  world.isAway = false;
  await vi.advanceTimersByTimeAsync(3000);
  await world.settle();
  expect(world.stepsOf("loss/total")).toEqual(upTo(9));
});

it.each([
  ["no msgpack", new Uint8Array([0xc1])],
  ["half a message", new Uint8Array([0x82, 0xa6])],
  ["nothing", new Uint8Array()],
  ["a list", new Uint8Array([0x90])],
  ["a series without columns", encode({ series: { a: {} } })],
])("an answer that cannot be read is said: %s", async (_, garbled) => {
  world.put("loss/total", upTo(5));
  world.garbled = garbled;
  await world.begin();
  expect(world.state.problem).toContain("The server's answer cannot be read");
});

describe("of a crowd that is larger than what is shown", () => {
  beforeEach(() => {
    for (const i of upTo(50)) world.put(`param_grad_norm/p${i}`, upTo(10), () => i);
    world.put("loss/total", upTo(10));
  });

  it("only what is shown is followed, and of the others the newest values", async () => {
    await world.begin();
    expect(world.lastSubscription()).toEqual({ type: "subscribe", run: "r" });
    await world.live("loss/total", [10]);
    const names = upTo(50, 38).map((i) => `param_grad_norm/p${i}`);
    const { series, others } = world.lastSubscription();
    expect([new Set(series as string[]), others]).toEqual([new Set(["loss/total", ...names]), true]);
  });

  it("a newcomer is followed first and loaded then", async () => {
    await world.begin();
    await world.live("loss/total", [10]);
    world.put("param_grad_norm/p3", [10], () => 1e9);
    world.heldBack = [];
    world.asked = [];
    await world.live("param_grad_norm/p3", [10], [1e9]);
    world.nowMs += 6000;
    await world.live("loss/total", [11]);
    expect([world.lastSubscription()["series"], world.askedPoints()]).toEqual([
      expect.arrayContaining(["param_grad_norm/p3"]),
      [],
    ]);
    world.heldBack[0]?.();
    await world.settle();
    expect(world.stepsOf("param_grad_norm/p3")).toEqual(upTo(11));
  });

  it("a series that was never heard of is followed when its newest value comes by", async () => {
    await world.begin();
    await world.live("loss/total", [10]);
    world.put("late/series", [3, 10]);
    await world.live("late/series", [10]);
    world.nowMs += 6000;
    await world.live("loss/total", [11]);
    expect(world.lastSubscription()["series"]).toContain("late/series");
    expect(world.stepsOf("late/series")).toEqual([3, 10]);
  });

  it("a connection that broke while a newcomer was on its way begins anew", async () => {
    await world.begin();
    await world.live("loss/total", [10]);
    world.heldBack = [];
    await world.live("param_grad_norm/p3", [10], [1e9]);
    world.nowMs += 6000;
    await world.live("loss/total", [11]);
    world.heldBack = null;
    await world.comeBack();
    expect(world.lastSubscription()).not.toHaveProperty("cursor");
    expect(world.lastSubscription()["series"]).toContain("param_grad_norm/p3");
  });
});

it("whoever was the largest in an older branch is no longer, when the run is loaded again", async () => {
  for (const i of upTo(50)) world.put(`param_grad_norm/p${i}`, upTo(10), () => i);
  await world.begin();
  for (const i of upTo(50)) world.points.set(`param_grad_norm/p${i}`, new Map([[0, i === 3 ? 1e9 : i]]));
  await world.tell({ type: "resync", run: "r" });
  expect(world.stepsOf("param_grad_norm/p3")).toEqual([0]);
});

it("a name that no msgpack map can have costs the others nothing", async () => {
  world.put("__proto__", upTo(5));
  world.put("loss/total", upTo(5));
  await world.begin();
  expect([world.askedPoints(), world.stepsOf("loss/total")]).toEqual([[["loss/total"]], upTo(5)]);
});

it("another attempt leaves the curves until the new ones are there", async () => {
  world.put("loss/total", upTo(5));
  await world.begin();
  world.say({ type: "run", run: { id: "r", state: "running", attempt: 0 } });
  world.points.set("loss/total", new Map([[0, 7]]));
  world.say({ type: "run", run: { id: "r", state: "running", attempt: 1 } });
  expect(world.stepsOf("loss/total")).toEqual(upTo(5));
  await world.settle();
  expect(world.stepsOf("loss/total")).toEqual([0]);
});

describe("a run that was deleted", () => {
  const other = { type: "run", run: { id: "other", project: "p", name: "n", state: "running" } };

  beforeEach(async () => {
    world.put("loss/total", upTo(5));
    await world.begin();
    world.say(other);
  });

  it("leaves the list and the screen, and another is shown instead", async () => {
    world.put("loss/total", upTo(2));
    await world.tell({ type: "gone", run: "r" });
    expect([world.state.order, world.state.selected]).toEqual([["other"], "other"]);
    expect(world.state.problem).toContain("was deleted");
    expect(world.lastSubscription()["run"]).toBe("other");
    expect(world.state.runs).not.toHaveProperty("r");
  });

  it("leaves an empty screen where there is no other, until one begins", async () => {
    await world.tell({ type: "gone", run: "other" });
    expect(world.state.problem).toBe("The run p/n was deleted.");
    expect([world.state.selected, world.stepsOf("loss/total")]).toEqual(["r", upTo(5)]);
    await world.tell({ type: "gone", run: "r" });
    expect([world.state.selected, world.stepsOf("loss/total")]).toEqual([null, []]);
    world.points.set("loss/total", new Map([[0, 7]]));
    await world.tell({ type: "run", run: { id: "r", state: "running" } });
    expect([world.state.selected, world.stepsOf("loss/total")]).toEqual(["r", [0]]);
  });

  it("twice, or that was never heard of, changes nothing more", async () => {
    await world.tell({ type: "gone", run: "other" });
    const before = world.state;
    await world.tell({ type: "gone", run: "other" });
    expect(world.state).toBe(before);
  });
});
