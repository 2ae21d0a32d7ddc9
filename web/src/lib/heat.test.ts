import { describe, expect, it } from "vitest";
import { fold } from "./fold";
import { type HeatGrid, heatAt, heatOf, heatTicks, rampOf } from "./heat";
import { SeriesBuffer } from "./series";

function series(values: readonly number[], every = 1): SeriesBuffer {
  const buffer = new SeriesBuffer();
  values.forEach((value, i) => buffer.append(i * every, value));
  return buffer;
}

function grid(buffers: readonly SeriesBuffer[], to: number, width = 100): HeatGrid {
  return heatOf(fold(buffers, { from: 0, to }, width), { from: 0, to }, width);
}

describe("the heat map", () => {
  it("has a row a series and a column a step, with ends from what is above 0", () => {
    const { rows, columns, values, low, high } = grid([series([1, 2, 0]), series([10, 20, 30])], 2);
    expect([rows, columns, low, high]).toEqual([2, 3, 1, 30]);
    expect([...values]).toEqual([1, 2, 0, 10, 20, 30]);
  });

  it("loses no spike and no NaN where columns fold", () => {
    const values = Array.from({ length: 1000 }, (_, i) => (i === 333 ? 1e6 : i === 700 ? NaN : 1));
    const found = grid([series(values)], 999, 50);
    expect(found.high).toBe(1e6);
    expect(found.flags.filter((flag) => flag !== 0)).toHaveLength(1);
  });

  it("holds a value until the next of a series that is logged less often, and not over a pause", () => {
    expect([...grid([series([1, 2, 3], 2)], 5).values]).toEqual([1, 1, 2, 2, 3, 3]);
    const paused = new SeriesBuffer();
    for (const step of [0, 1, 2, 8]) paused.append(step, step + 1);
    expect([...grid([paused], 9).values]).toEqual([1, 2, 3, 3, NaN, NaN, NaN, NaN, 9, 9]);
  });

  it("keeps two ends where all is one value, or nothing is", () => {
    expect(grid([series([4, 4])], 1)).toMatchObject({ low: 2, high: 8 });
    expect(grid([series([NaN, 0])], 1)).toMatchObject({ low: 1e-3, high: 1 });
  });
});

it("colours are logarithmic, and at 0 for what has no logarithm", () => {
  const ends = { low: 0.01, high: 100 };
  expect([0.01, 1, 100, 0, -5, 1e9].map((value) => heatAt(value, ends))).toEqual([0, 0.5, 1, 0, 0, 1]);
  expect(heatTicks(ends, 5)).toEqual([0.01, 0.1, 1, 10, 100]);
});

it("a ramp runs through its stops", () => {
  const ramp = rampOf(["#000000", "#ff0000", "#ffffff"], 5);
  expect([...ramp.subarray(0, 3)]).toEqual([0, 0, 0]);
  expect([...ramp.subarray(6, 9)]).toEqual([255, 0, 0]);
  expect([...ramp.subarray(12)]).toEqual([255, 255, 255]);
});
