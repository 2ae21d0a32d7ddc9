import { describe, expect, it } from "vitest";
import type { Buckets } from "./buckets";
import type { Places } from "./compare";
import { placeOf, placed, stepsBetween } from "./comparePlaces";

/** Two stages: steps 0..9 stand at 0..9, steps 10..19 at 100..109. */
const STAGED: Places = { steps: [0, 10], xs: [0, 100], slopes: [1, 1], lastStep: 19 };
/** A step every 0.4 ms, in seconds. */
const TIMED: Places = { steps: [0], xs: [0], slopes: [0.0004], lastStep: 9 };

function bucketsOf(steps: readonly number[], values: readonly number[]): Buckets {
  const finite = (value: number): number => (Number.isFinite(value) ? value : NaN);
  const column = (read: (value: number) => number): Float64Array => Float64Array.from(values, read);
  return {
    step: Float64Array.from(steps),
    min: column(finite),
    max: column(finite),
    mean: column(finite),
    last: column((value) => value),
    nan: column((value) => Number(Number.isNaN(value))),
    posInf: column((value) => Number(value === Infinity)),
    negInf: column((value) => Number(value === -Infinity)),
    count: column(() => 1),
  };
}

describe("places on a common axis", () => {
  it("lie on the line of their piece", () => {
    expect([0, 9, 10, 19].map((step) => placeOf(STAGED, step))).toEqual([0, 9, 100, 109]);
    expect(placeOf(TIMED, 5)).toBeCloseTo(0.002);
  });

  it("lead back to the steps, with one more on either side", () => {
    expect(stepsBetween(STAGED, 3, 5)).toEqual({ from: 2, to: 6 });
    expect(stepsBetween(STAGED, 102, 300)).toEqual({ from: 11, to: 19 });
    expect(stepsBetween(STAGED, 40, 60)).toEqual({ from: 9, to: 11 });
    expect(stepsBetween(STAGED, 200, 300)).toBeNull();
    expect(stepsBetween({ ...STAGED, steps: [], xs: [], slopes: [] }, 0, 1)).toBeNull();
  });

  it("fold what falls on one tick, and lose no extreme and no NaN", () => {
    const found = placed(bucketsOf([0, 1, 2, 3], [1, 9, NaN, -Infinity]), TIMED, 1000);
    expect([...found.step]).toEqual([0, 1]);
    expect([[...found.min], [...found.max]]).toEqual([[1, NaN], [9, NaN]]);
    expect([found.mean[0], [...found.nan], [...found.negInf], [...found.count]]).toEqual([5, [0, 1], [0, 1], [2, 2]]);
    expect(found.last[1]).toBe(-Infinity);
  });

  it("ascend, whatever the run did", () => {
    const found = placed(bucketsOf([0, 5, 9, 10, 15], [1, 2, 3, 4, 5]), STAGED, 1);
    expect([...found.step]).toEqual([0, 5, 9, 100, 105]);
  });
});
