import { describe, expect, it } from "vitest";
import { clockOf, gapsOf, gapsText, isGapBetween, pausesOf } from "./gaps";
import { eventOf } from "./models";
import { SeriesBuffer } from "./series";

function at(steps: readonly number[], value = 1): SeriesBuffer {
  const buffer = new SeriesBuffer();
  for (const step of steps) buffer.append(step, value);
  return buffer;
}

function upTo(count: number, every = 1, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => from + i * every);
}

describe("a gap", () => {
  it("is where steps never came, one or many", () => {
    const steps = upTo(100).filter((step) => step !== 10 && (step < 50 || step > 70));
    expect(pausesOf(at(steps))).toEqual([
      { from: 10, to: 10, steps: 1, reason: "" },
      { from: 50, to: 70, steps: 21, reason: "" },
    ]);
  });

  it("is no slower logging, nor a change of it", () => {
    expect(pausesOf(at(upTo(50, 10)))).toEqual([]);
    expect(pausesOf(at([...upTo(50), ...upTo(50, 10, 50)]))).toEqual([]);
    expect(pausesOf(at([...upTo(50, 10), ...upTo(50, 1, 500)]))).toEqual([]);
  });

  it("is seen between buckets, and not claimed where a bucket wavers or holds a NaN", () => {
    const bucket = { low: 1, high: 1, mean: 1, last: 1, flags: 0 };
    const buffer = new SeriesBuffer();
    for (let i = 0; i < 20; i += 1) buffer.put(i * 64, { ...bucket, count: i === 9 ? 30 : i % 2 === 0 ? 64 : 63 });
    expect(pausesOf(buffer).map(({ from, to }) => [from, to])).toEqual([[606, 639]]);
    const bad = new SeriesBuffer();
    for (let i = 0; i < 20; i += 1) bad.put(i * 64, { ...bucket, count: i === 9 ? 0 : 64, flags: i === 9 ? 1 : 0 });
    expect(pausesOf(bad)).toEqual([]);
  });

  it("is told with its reason, once", () => {
    const told = eventOf({ kind: "gap", step: 60, data: { from: 50, to: 70, reason: "the trainer's queue was full" } });
    const found = gapsOf([told], at(upTo(100).filter((step) => step < 50 || step > 70)));
    expect(found).toEqual([{ from: 50, to: 70, steps: 21, reason: "the trainer's queue was full" }]);
    expect(isGapBetween(found, 49, 71)).toBe(true);
    expect(isGapBetween(found, 71, 72)).toBe(false);
  });
});

it("what is known in detail is looked at there", () => {
  const coarse = at([...upTo(5, 10), ...upTo(5, 10, 100)]);
  const clock = at(upTo(60, 1, 45).filter((step) => step < 52 || step > 59));
  expect(gapsOf([], coarse)).toMatchObject([{ from: 50, to: 99 }]);
  expect(gapsOf([], coarse, { from: 45, to: 104, clock })).toMatchObject([{ from: 52, to: 59, steps: 8 }]);
});

it("gaps are counted in words", () => {
  expect(gapsText([])).toBe("");
  expect(gapsText([{ from: 5, to: 5, steps: 1, reason: "" }])).toBe("1 gap: 1 step never came");
  expect(gapsText([{ from: 5, to: 6, steps: 2, reason: "" }, { from: 9, to: 12, steps: 4, reason: "" }])).toBe(
    "2 gaps: 6 steps never came",
  );
});

it("the clock is the total, else the longest series", () => {
  const [long, total] = [at(upTo(9)), at(upTo(3))];
  expect(clockOf(new Map([["a", long], ["loss/total", total]]))).toBe(total);
  expect(clockOf(new Map([["b", at([1])], ["a", long]]))).toBe(long);
  expect(clockOf(new Map())).toBeUndefined();
});
