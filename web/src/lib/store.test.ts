import { describe, expect, it } from "vitest";
import { CROWD_SHOWN } from "./crowd";
import { type Buckets, bucketsOf } from "./buckets";
import { SeriesBuffer } from "./series";
import { PointStore } from "./store";
import { packedBuckets } from "./testBuckets";

function bufferWith(points: readonly (readonly [number, number])[]): SeriesBuffer {
  const buffer = new SeriesBuffer();
  for (const [step, value] of points) buffer.append(step, value);
  return buffer;
}

function pointsOf(buffer: SeriesBuffer | undefined): [number, number][] {
  return buffer === undefined
    ? []
    : Array.from({ length: buffer.length }, (_, i) => [buffer.steps[i] ?? -1, buffer.lasts[i] ?? NaN]);
}

function single(points: readonly (readonly [number, number])[]): Buckets {
  return bucketsOf(
    packedBuckets(
      points.map(([step]) => step),
      points.map(([, value]) => value),
    ),
  );
}

function columns(steps: readonly number[], values: readonly number[], name = "a"): Parameters<PointStore["append"]>[0] {
  return { run: "r", names: [name], steps: Float64Array.from(steps), values: [Float64Array.from(values)] };
}

describe("the store", () => {
  it("merges history that was loaded with live points that came meanwhile", () => {
    const store = new PointStore();
    store.append(columns([8, 9, 10, 11], [8, 9, 10, 11]));
    store.load(
      "a",
      single([
        [0, 0],
        [1, 1],
        [8, 8],
        [9, 9],
      ]),
      9,
    );
    expect(pointsOf(store.buffers.get("a"))).toEqual([
      [0, 0],
      [1, 1],
      [8, 8],
      [9, 9],
      [10, 10],
      [11, 11],
    ]);
  });

  it("does not count a step twice that a bucket covers already", () => {
    const store = new PointStore();
    store.append(columns([98, 99, 100], [1, 1, 2]));
    store.load(
      "a",
      bucketsOf(packedBuckets([0, 50], [1, 1], { min: [0, 0], max: [5, 7], count: [50, 50] })),
      99,
    );
    expect(pointsOf(store.buffers.get("a")).map(([step]) => step)).toEqual([0, 50, 100]);
  });

  it("says when a series is new, and its extent", () => {
    const store = new PointStore();
    expect(store.extent()).toBeNull();
    expect(store.append(columns([3], [1]))).toBe(true);
    expect(store.append(columns([4], [1]))).toBe(false);
    expect(store.extent()).toEqual([3, 4]);
  });

  it("draws a window from its detail, and whatever lies outside from all", () => {
    const store = new PointStore();
    store.append(columns([0, 100], [1, 1]));
    store.setDetail({ from: 10, to: 20, buffers: new Map([["a", bufferWith([[10, 5]])]]) });
    expect(store.view("a", 12, 18)?.length).toBe(1);
    expect(store.view("a", 0, 18)?.length).toBe(2);
  });
});

/** Steps with the step itself as their value. */
function plain(...steps: number[]): Parameters<PointStore["append"]>[0] {
  return columns(steps, steps);
}

function stepsOf(store: PointStore, name = "a"): number[] {
  return pointsOf(store.buffers.get(name)).map(([step]) => step);
}

describe("history that is loaded again", () => {
  it("replaces what came live before it was asked for, and keeps what came since", () => {
    const store = new PointStore();
    store.append(plain(7, 8));
    store.beginLoad();
    store.append(plain(9));
    store.load("a", single([[5, 5]]), 5);
    store.endLoad();
    expect(stepsOf(store)).toEqual([5, 9]);
  });

  it("leaves nothing of a series that neither the server names nor came since", () => {
    const store = new PointStore();
    store.append(columns([1], [1], "old"));
    store.beginLoad();
    store.append(columns([1], [1], "new"));
    store.prune(new Set(["a"]));
    expect([...store.buffers.keys()]).toEqual(["new"]);
  });
});

it("reaches as far as its history, whose newest bucket begins before its end, and goes back with it", () => {
  const store = new PointStore();
  store.load("a", bucketsOf(packedBuckets([0, 50], [1, 1], { min: [0, 0], max: [5, 7], count: [50, 50] })), 99);
  expect(store.extent()).toEqual([0, 99]);
  store.rollBack(60);
  expect(store.extent()).toEqual([0, 59]);
});

describe("points of the past", () => {
  it("come in order a series, whatever other series have", () => {
    const store = new PointStore();
    store.append(columns([500, 501], [1, 1], "loss/total"));
    const frame = Array.from({ length: 256 }, (_, i) => 245 + i);
    store.append(columns(frame, frame, "param_grad_norm/w"));
    store.append(columns([502], [1], "loss/total"));
    expect(stepsOf(store, "param_grad_norm/w")).toEqual(frame);
    expect(stepsOf(store, "loss/total")).toEqual([500, 501, 502]);
    expect(store.extent()).toEqual([245, 502]);
  });

  it("of a series that has newer steps are put between them", () => {
    const store = new PointStore();
    store.append(columns([240, 250, 500], [1, 2, 9], "param_grad_norm/w"));
    store.append(columns([249, 250, 251], [3, 4, 5], "param_grad_norm/w"));
    expect(pointsOf(store.buffers.get("param_grad_norm/w"))).toEqual([
      [240, 1],
      [249, 3],
      [250, 4],
      [251, 5],
      [500, 9],
    ]);
  });
});

describe("a rollback", () => {
  it("takes the points at and after its step off, everywhere, and the axis goes back", () => {
    const store = new PointStore();
    store.append(plain(0, 1, 2, 3, 4));
    store.setDetail({
      from: 1,
      to: 9,
      buffers: new Map([
        [
          "a",
          bufferWith([
            [2, 2],
            [3, 3],
            [4, 4],
          ]),
        ],
      ]),
    });
    store.rollBack(3);
    expect(store.extent()).toEqual([0, 2]);
    expect(pointsOf(store.view("a", 2, 4))).toEqual([[2, 2]]);
    store.append(columns([3, 4], [30, 40]));
    expect(pointsOf(store.buffers.get("a")).slice(-2)).toEqual([
      [3, 30],
      [4, 40],
    ]);
    expect(store.view("a", 2, 4)?.latest()).toBe(40);
  });

  it("keeps rows of the older branch out that were still under way, also within one message", () => {
    const store = new PointStore();
    store.append(plain(0, 1, 2, 3, 4, 5));
    store.rollBack(3);
    expect(store.append(plain(6, 7))).toBe(false);
    store.append(columns([8, 9, 3, 4], [8, 9, 30, 40]));
    store.append(columns([5, 6], [50, 60]));
    expect(pointsOf(store.buffers.get("a")).map(([, value]) => value)).toEqual([0, 1, 2, 30, 40, 50, 60]);
  });

  it("to a step of which rows are missing does not keep the new branch out", () => {
    const store = new PointStore();
    store.append(plain(0, 1, 2, 3, 4, 5));
    store.rollBack(2);
    store.append(plain(4, 5, 6, 7));
    expect(stepsOf(store)).toEqual([0, 1, 4, 5, 6, 7]);
  });

  it("is over when history was loaded again", () => {
    const store = new PointStore();
    store.append(plain(0, 1, 2));
    store.rollBack(1);
    store.forgetOlder();
    store.append(plain(9));
    expect(stepsOf(store)).toEqual([0, 9]);
  });
});

describe("a crowd", () => {
  const COUNT = 500;
  const names = Array.from({ length: COUNT }, (_, i) => `param_grad_norm/layer.${i}.weight`);
  const block = (step: number, sizeOf: (i: number) => number): Parameters<PointStore["append"]>[0] => ({
    run: "r",
    names,
    steps: Float64Array.of(step),
    values: names.map((_, i) => Float64Array.of(sizeOf(i))),
  });

  it("has points of its largest members only", () => {
    const store = new PointStore();
    for (let step = 0; step < 50; step += 1) store.append(block(step, (i) => i));
    expect(store.buffers.size).toBe(CROWD_SHOWN);
    expect([...store.buffers.keys()]).toContain(`param_grad_norm/layer.${COUNT - 1}.weight`);
    expect(store.crowdOf("parameters").chosen).toMatchObject({ of: COUNT });
    store.load("param_grad_norm/layer.0.weight", single([[0, 1]]), 0);
    expect(store.buffers.size).toBe(CROWD_SHOWN);
  });

  it("forgets the points of who is no longer shown", () => {
    const store = new PointStore();
    store.append(block(0, (i) => i));
    store.append(block(1, (i) => (i === 7 ? NaN : i)));
    const came = store.choose(store.crowdOf("parameters"));
    expect(came).toEqual(["param_grad_norm/layer.7.weight"]);
    store.append(block(2, (i) => i));
    expect(store.buffers.size).toBe(CROWD_SHOWN);
    expect(store.buffers.has("param_grad_norm/layer.7.weight")).toBe(true);
    expect(store.buffers.has(`param_grad_norm/layer.${COUNT - CROWD_SHOWN}.weight`)).toBe(false);
  });
});
