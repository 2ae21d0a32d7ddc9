import { describe, expect, it } from "vitest";
import { bucketsOf } from "./buckets";
import { ColumnError } from "./decode";
import { packed, packedBuckets } from "./testBuckets";

describe("buckets", () => {
  it("are read bit by bit, and absent extremes stay absent", () => {
    const buckets = bucketsOf(packedBuckets([1, 5, 9], [NaN, -0, -Infinity]));
    expect([...buckets.step]).toEqual([1, 5, 9]);
    expect([...buckets.last]).toEqual([NaN, -0, -Infinity]);
    expect([...buckets.min]).toEqual([NaN, -0, NaN]);
    expect([[...buckets.nan], [...buckets.negInf]]).toEqual([
      [1, 0, 0],
      [0, 0, 1],
    ]);
  });

  it("of a series without points are none", () => {
    expect(bucketsOf(packedBuckets([], [])).step).toHaveLength(0);
  });

  it("are read where they begin at any byte of an answer", () => {
    for (let shift = 0; shift < 8; shift += 1) {
      const answer = new Uint8Array(shift + 16);
      answer.set(packed([3, 4]), shift);
      expect([...bucketsOf({ ...packedBuckets([3, 4], [1, 2]), last: answer.subarray(shift) }).last]).toEqual([3, 4]);
    }
  });

  it.each([
    ["nothing", null],
    ["words", { ...packedBuckets([1], [1]), last: "abc" }],
    ["a list, as in JSON", { ...packedBuckets([1], [1]), last: [1] }],
    ["a missing column", { ...packedBuckets([1], [1]), max: undefined }],
    ["half a number", { ...packedBuckets([1], [1]), last: new Uint8Array(7) }],
    ["a shorter column", { ...packedBuckets([1, 2], [1, 2]), mean: packed([1]) }],
    ["a longer column", { ...packedBuckets([1, 2], [1, 2]), mean: packed([1, 2, 3]) }],
    ["steps that go back", packedBuckets([2, 1], [1, 1])],
    ["a step twice", packedBuckets([2, 2], [1, 1])],
    ["a step that is no number", packedBuckets([NaN], [1])],
    ["a step between two steps", packedBuckets([1.5], [1])],
    ["a count below zero", packedBuckets([1], [1], { count: [-1] })],
    ["a count that is no number", packedBuckets([1], [1], { nan: [NaN] })],
  ])("that do not hold what they should are refused: %s", (_, value) => {
    expect(() => bucketsOf(value)).toThrow(ColumnError);
  });
});
