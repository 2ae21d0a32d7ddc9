import { describe, expect, it } from "vitest";
import { NAN, NEG_INF, POS_INF, SeriesBuffer, bufferOf } from "./series";
import { bucketsOf } from "./buckets";
import { packedBuckets } from "./testBuckets";

function bufferWith(points: readonly (readonly [number, number])[], capacity?: number): SeriesBuffer {
  const buffer = new SeriesBuffer(capacity);
  for (const [step, value] of points) buffer.append(step, value);
  return buffer;
}

function pointsOf(buffer: SeriesBuffer | undefined): [number, number][] {
  return buffer === undefined
    ? []
    : Array.from({ length: buffer.length }, (_, i) => [buffer.steps[i] ?? -1, buffer.lasts[i] ?? NaN]);
}

describe("a buffer", () => {
  it("keeps steps unique and ascending, whatever the order in which they come", () => {
    expect(
      pointsOf(
        bufferWith([
          [1, 10],
          [5, 50],
          [3, 30],
          [5, 51],
          [0, 0],
        ]),
      ),
    ).toEqual([
      [0, 0],
      [1, 10],
      [3, 30],
      [5, 51],
    ]);
  });

  it("keeps what is not finite, by kind", () => {
    const buffer = bufferWith([
      [0, NaN],
      [1, Infinity],
      [2, -Infinity],
      [3, 1],
    ]);
    expect([...buffer.flags.subarray(0, 4)]).toEqual([NAN, POS_INF, NEG_INF, 0]);
    expect(pointsOf(buffer)[1]).toEqual([1, Infinity]);
  });

  it("answers the value in force at a step", () => {
    const buffer = bufferWith([
      [10, 1],
      [20, 2],
    ]);
    expect([9, 10, 15, 20, 99].map((step) => buffer.valueAt(step))).toEqual([null, 1, 1, 2, 2]);
  });

  it("stays within its capacity and loses no spike, no NaN and not its newest steps", () => {
    const buffer = new SeriesBuffer(64);
    for (let step = 0; step < 10_000; step += 1)
      buffer.append(step, step === 17 ? 1e6 : step === 33 ? NaN : step === 4000 ? -1e6 : 1);
    expect(buffer.length).toBeLessThanOrEqual(64);
    const entries = Array.from({ length: buffer.length }, (_, i) => ({
      low: buffer.lows[i] ?? 0,
      high: buffer.highs[i] ?? 0,
      flags: buffer.flags[i] ?? 0,
    }));
    expect(Math.max(...entries.map((entry) => entry.high))).toBe(1e6);
    expect(Math.min(...entries.map((entry) => entry.low))).toBe(-1e6);
    expect(entries.filter((entry) => entry.flags === NAN)).toHaveLength(1);
    expect(
      pointsOf(buffer)
        .slice(-10)
        .map(([step]) => step),
    ).toEqual([9990, 9991, 9992, 9993, 9994, 9995, 9996, 9997, 9998, 9999]);
  });

  it("keeps the mean of all that an entry covers", () => {
    const buffer = new SeriesBuffer(64);
    for (let step = 0; step < 5000; step += 1) buffer.append(step, step % 7 === 0 ? NaN : step % 2);
    const entries = Array.from({ length: buffer.length }, (_, i) => buffer.entry(i));
    const count = entries.reduce((sum, entry) => sum + entry.count, 0);
    expect(count).toBe(5000 - Math.ceil(5000 / 7));
    const mean = entries.reduce((sum, entry) => sum + (entry.count > 0 ? entry.mean * entry.count : 0), 0) / count;
    expect(mean).toBeCloseTo(0.5, 2);
  });

  it("keeps the whole of a long run evenly, not only its end", () => {
    const buffer = new SeriesBuffer(256);
    for (let step = 0; step < 100_000; step += 1) buffer.append(step, 1);
    const inFirstHalf = pointsOf(buffer).filter(([step]) => step < 50_000).length;
    expect(inFirstHalf).toBeGreaterThan(40);
  });

  it("takes a late point into the bucket that begins at its step, and wipes nothing out", () => {
    const buffer = bufferOf(
      bucketsOf(packedBuckets([0, 50], [2, 2], { min: [1, 1], max: [9, 9], mean: [4, 4], count: [50, 50] })),
    );
    buffer.append(0, 12);
    expect(buffer.entry(0)).toMatchObject({ low: 1, high: 12, count: 51 });
  });

  it("of history knows each kind of what is not finite, were it one of many", () => {
    const kinds = { nan: [1, 0, 0, 0], pos_inf: [0, 1, 0, 0], neg_inf: [0, 0, 1, 0], count: [5, 5, 5, 5] };
    const buffer = bufferOf(bucketsOf(packedBuckets([0, 5, 10, 15], [2, 2, 2, 2], kinds)));
    expect([...buffer.flags.slice(0, 4)]).toEqual([NAN, POS_INF, NEG_INF, 0]);
    expect([...buffer.counts.slice(0, 4)]).toEqual([4, 4, 4, 5]);
  });

  it("drops what is at and after a step, and goes on from there", () => {
    const buffer = bufferWith([
      [0, 0],
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
    buffer.truncate(2);
    expect([pointsOf(buffer), buffer.lastStep(), buffer.latest()]).toEqual([
      [
        [0, 0],
        [1, 1],
      ],
      1,
      1,
    ]);
    buffer.append(2, 20);
    expect(pointsOf(buffer).at(-1)).toEqual([2, 20]);
  });
});
