import { describe, expect, it } from "vitest";
import { ColumnError, columnsOf, numberOrNull, text } from "./decode";

function bytesOf(values: readonly number[]): Uint8Array {
  return new Uint8Array(Float64Array.from(values).buffer);
}

describe("numbers", () => {
  it("reads the three words of a non-finite number, and no other", () => {
    expect(["NaN", "Infinity", "-Infinity"].map(numberOrNull)).toEqual([NaN, Infinity, -Infinity]);
    expect(["nan", "+Infinity", "12", "", "constructor", "toString"].map(numberOrNull)).toEqual([
      null,
      null,
      null,
      null,
      null,
      null,
    ]);
  });

  it("keeps a name that looks like a number a name", () => {
    expect(text("NaN")).toBe("NaN");
  });
});

describe("columns", () => {
  it("reads steps and one column a series, bit by bit", () => {
    const message = {
      run: "r",
      series: ["a", "b"],
      n: 2,
      steps: bytesOf([7, 8]),
      values: bytesOf([1, NaN, -0, -Infinity]),
    };
    const columns = columnsOf(message);
    expect([...columns.steps]).toEqual([7, 8]);
    expect(columns.values.map((column) => [...column])).toEqual([
      [1, NaN],
      [-0, -Infinity],
    ]);
  });

  it("reads bytes that do not begin at a multiple of eight", () => {
    const shifted = new Uint8Array(17);
    shifted.set(bytesOf([1.5, 2.5]).subarray(0, 16), 1);
    const columns = columnsOf({ run: "r", series: ["a"], n: 2, steps: bytesOf([0, 1]), values: shifted.subarray(1) });
    expect([...(columns.values[0] ?? [])]).toEqual([1.5, 2.5]);
  });

  it("refuses a length that does not fit, because every later value would be shifted", () => {
    expect(() =>
      columnsOf({ run: "r", series: ["a", "b"], n: 2, steps: bytesOf([0, 1]), values: bytesOf([1, 2, 3]) }),
    ).toThrow(ColumnError);
    expect(() => columnsOf({ run: "r", series: ["a"], n: 1, steps: null, values: bytesOf([1]) })).toThrow(ColumnError);
  });
});
