import { describe, expect, it } from "vitest";
import { type Frame, cellsOf, fold, lines, stack, windowOf, zoomedTo } from "./fold";
import { SeriesBuffer } from "./series";

function series(count: number, valueAt: (step: number) => number, every = 1): SeriesBuffer {
  const buffer = new SeriesBuffer();
  for (let step = 0; step < count; step += every) buffer.append(step, valueAt(step));
  return buffer;
}

function drawn(frame: Frame, index: number): number[] {
  return (frame.ys[index] ?? []).filter((value) => typeof value === "number");
}

describe("lines", () => {
  it("give every step its place when there are fewer steps than pixels", () => {
    const frame = lines(fold([series(5, (step) => step * 2)], { from: 0, to: 4 }, 100), false);
    expect(frame.x).toEqual([0, 1, 2, 3, 4]);
    expect(frame.ys).toEqual([[0, 2, 4, 6, 8]]);
  });

  it.each([100, 700, 1999])("lose no spike and no NaN at %i pixels", (width) => {
    const buffer = series(16_000, (step) =>
      step === 4321 ? 1e9 : step === 9999 ? -1e9 : step === 77 ? NaN : Math.sin(step),
    );
    const frame = lines(fold([buffer], { from: 0, to: 15_999 }, width), false);
    expect(Math.max(...drawn(frame, 0))).toBe(1e9);
    expect(Math.min(...drawn(frame, 0))).toBe(-1e9);
    expect(frame.nonFinite).toHaveLength(1);
    expect(frame.x.length).toBeLessThanOrEqual(2 * (width + 2));
    expect([...frame.x].sort((a, b) => a - b)).toEqual(frame.x);
  });

  it("carry the mean of a column, where columns stand for many steps", () => {
    const buffer = series(1000, (step) => (step % 2 === 0 ? 1 : 3));
    const frame = lines(fold([buffer], { from: 0, to: 999 }, 10), false, true);
    expect(new Set(frame.centres[0])).toEqual(new Set([2]));
    expect(frame.centres[0]?.length).toBe(frame.x.length);
  });

  it("break at a value that cannot be drawn, and go on over a step that has none", () => {
    const rare = series(5, () => 1, 2);
    const bad = series(5, (step) => (step === 2 ? Infinity : 1));
    const frame = lines(fold([rare, bad], { from: 0, to: 4 }, 100), false);
    expect(frame.ys[0]).toEqual([1, undefined, 1, undefined, 1]);
    expect(frame.ys[1]).toEqual([1, 1, null, 1, 1]);
  });

  it("leave out of a log axis what is not above 0", () => {
    const frame = lines(fold([series(3, (step) => step - 1)], { from: 0, to: 2 }, 10), true);
    expect(frame.ys).toEqual([[null, null, 1]]);
  });

  it("run to the edges of a zoomed window by their neighbours just outside", () => {
    const frame = lines(fold([series(100, (step) => step, 10)], { from: 25, to: 55 }, 100), false);
    expect(frame.x).toEqual([20, 30, 40, 50, 60]);
  });
});

describe("a stack", () => {
  it("heaps the parts under the total", () => {
    const [a, b] = [series(3, () => 1), series(3, () => 2)];
    const buffers = [series(3, () => 3), a, b];
    const frame = stack(fold(buffers, { from: 0, to: 2 }, 10), buffers);
    expect(frame.ys).toEqual([
      [3, 3, 3],
      [1, 1, 1],
      [3, 3, 3],
    ]);
  });

  it("adds up to the mean of the total in every column, and keeps the total's highest", () => {
    const noise = (step: number): number => 1 + 0.5 * Math.sin(step * 7);
    const at = (step: number): number => (step === 507 ? 90 : noise(step));
    const buffers = [series(1000, (step) => at(step) + noise(step + 3)), series(1000, at), series(1000, (step) => noise(step + 3))];
    const frame = stack(fold(buffers, { from: 0, to: 999 }, 100), buffers, true);
    const top = drawn(frame, 2);
    expect(top).toHaveLength(100);
    (frame.centres[0] ?? []).forEach((mean, i) => expect(top[i]).toBeCloseTo(mean ?? NaN, 9));
    expect(Math.max(...drawn(frame, 0))).toBeGreaterThan(90);
  });

  it("holds the value in force of a part that is logged now and then", () => {
    const buffers = [series(100, () => 3), series(100, () => 1), series(100, () => 2, 40)];
    const frame = stack(fold(buffers, { from: 0, to: 99 }, 200), buffers);
    expect(new Set(drawn(frame, 2))).toEqual(new Set([3]));
  });

  it("of a part that is not finite heaps nothing and leaves a mark", () => {
    const buffers = [series(1, () => NaN), series(1, () => NaN), series(1, () => 2)];
    const frame = stack(fold(buffers, { from: 0, to: 1 }, 10), buffers);
    expect(frame.ys).toEqual([[null], [0], [2]]);
    expect(frame.nonFinite).toHaveLength(2);
  });
});

describe("the window", () => {
  it("is the whole run, its end, or what a person chose", () => {
    expect(windowOf({ kind: "all" }, [0, 900])).toEqual({ from: 0, to: 900 });
    expect(windowOf({ kind: "last", steps: 200 }, [0, 900])).toEqual({ from: 701, to: 900 });
    expect(windowOf({ kind: "fixed", from: 5, to: 7 }, [0, 900])).toMatchObject({ from: 5, to: 7 });
    expect(windowOf({ kind: "all" }, null)).toBeNull();
    expect(windowOf({ kind: "all" }, [4, 4])).toEqual({ from: 4, to: 5 });
  });
});

it("a drag asks for whole steps, and for some of them even when it is short", () => {
  expect(zoomedTo(10.2, 90.7)).toEqual({ kind: "fixed", from: 10, to: 91 });
  expect(zoomedTo(100.4, 100.6)).toEqual({ kind: "fixed", from: 99, to: 103 });
  expect(zoomedTo(0.2, 0.1)).toEqual({ kind: "fixed", from: 0, to: 4 });
});

describe("a line of what is recorded for a while only", () => {
  const islands = new SeriesBuffer();
  for (const step of [10, 11, 12, 900, 901, 902]) islands.append(step, 1);

  it("breaks where nothing is known, and not within a while", () => {
    const frame = lines(fold([islands], { from: 0, to: 1000 }, 500, 100), false);
    const broken = frame.ys[0]?.filter((value) => value === null);
    expect(broken).toHaveLength(1);
    expect([...frame.x].sort((a, b) => a - b)).toEqual(frame.x);
    expect(drawn(frame, 0).every((value) => value === 1)).toBe(true);
  });

  it("goes on where the chart does not ask for it, and where points stand for many steps", () => {
    expect(lines(fold([islands], { from: 0, to: 1000 }, 500), false).ys[0]).not.toContain(null);
    const long = series(1_000_000, () => 1, 700);
    for (const to of [999_999, 20_000])
      expect(lines(fold([long], { from: 0, to }, 500, 100), false).ys[0]).not.toContain(null);
  });

  it("is broken too where the while begins before the window", () => {
    expect(lines(fold([islands], { from: 100, to: 950 }, 300, 100), false).ys[0]?.slice(0, 2)).toEqual([1, null]);
  });
});

describe("the order of a column's ends", () => {
  it("follows a slope, down as up", () => {
    // three columns of four steps
    const ends = (valueAt: (step: number) => number): number[] =>
      drawn(lines(fold([series(12, valueAt)], { from: 0, to: 11 }, 6), false), 0);
    expect(ends((step) => 12 - step)).toEqual([12, 9, 8, 5, 4, 1]);
    expect(ends((step) => step)).toEqual([0, 3, 4, 7, 8, 11]);
  });
});

it("a value that is not finite wipes out nothing in its column", () => {
  const frame = lines(fold([series(8, (step) => (step % 4 === 3 ? NaN : step))], { from: 0, to: 7 }, 4), false);
  expect(drawn(frame, 0)).toEqual([0, 2, 4, 6]);
  expect(frame.nonFinite).toHaveLength(2);
});

describe("columns", () => {
  it("are steps where there is a pixel for each, else two pixels wide", () => {
    expect(cellsOf({ from: 0, to: 99 }, 100).count).toBe(100);
    expect(cellsOf({ from: 0, to: 100 }, 100).count).toBe(50);
  });
});

it("a stack of buckets heaps their means, which add up to the total's", () => {
  const bucket = (low: number, high: number): SeriesBuffer => {
    const buffer = new SeriesBuffer();
    const entry = { low, high, mean: (low + high) / 2, count: 10, last: high, flags: 0 };
    for (let step = 0; step < 30; step += 10) buffer.put(step, entry);
    return buffer;
  };
  const buffers = [bucket(2, 6), bucket(0, 4), bucket(0, 4)];
  const frame = stack(fold(buffers, { from: 0, to: 29 }, 20), buffers, true);
  expect(drawn(frame, 2).at(-1)).toBe(4);
  expect(new Set(frame.centres[0])).toEqual(new Set([4]));
});
