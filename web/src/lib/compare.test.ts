import { describe, expect, it } from "vitest";
import { comparisonOf } from "./compare";
import { keyOf, runLook } from "./compareLook";
import { comparisonAnswer } from "./testComparison";

describe("a comparison", () => {
  it("is read as it was said, non-finite values first-class", () => {
    const found = comparisonOf(comparisonAnswer());
    expect(found.runs.map(({ id, name }) => [id, name])).toEqual([["a", "old"], ["b", "new"]]);
    expect(found.runs[0]?.places).toEqual({ steps: [0], xs: [0], slopes: [1], lastStep: 99 });
    expect(found.parting.map(({ pairs }) => pairs[0]?.at)).toEqual([10, null]);
    expect(found.verdict[0]?.cells.map(({ isBad }) => isBad)).toEqual([true, false]);
    expect(found.differences[0]?.values.get("a")).toBe("0.1");
    expect(found.differences[0]?.values.has("b")).toBe(false);
  });

  it("of an answer that makes no sense is empty, and nothing throws", () => {
    for (const answer of [null, 3, [], { axis: 1, runs: [null], verdict: [{}], config: { rows: [{ values: 4 }] } }])
      expect(comparisonOf(answer).axis).toBe("step");
  });

  it("tells eight runs apart by dash and colour", () => {
    const looks = Array.from({ length: 8 }, (_, i) => runLook(i));
    expect(new Set(looks.map(({ colour }) => colour)).size).toBe(8);
    expect(looks[0]).toEqual({ colour: -1, dash: [] });
    expect(looks.slice(1).every(({ dash }) => dash.length > 0)).toBe(true);
    expect(keyOf(1, "loss/ce")).not.toBe(keyOf(2, "loss/ce"));
  });
});
