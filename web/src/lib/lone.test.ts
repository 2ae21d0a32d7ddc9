import { describe, expect, it } from "vitest";
import { loneOf } from "./lone";

describe("values that no line reaches", () => {
  it("are those between two breaks", () => {
    expect(loneOf([0, 1, 2, 3, 4, 5], [null, 7, null, 8, 9, null])).toEqual([1]);
  });

  it("are those at either end", () => {
    expect(loneOf([0, 1, 2, 3], [7, null, null, 8])).toEqual([0, 3]);
  });

  it("are a column's low and high, which lie upon one step", () => {
    expect(loneOf([0, 0, 4, 4, 8, 8], [null, null, 1, 2, null, null])).toEqual([2, 3]);
  });

  it("are not those that a line reaches over steps without a value", () => {
    expect(loneOf([0, 1, 2, 3, 4], [null, 7, undefined, 8, null])).toBeNull();
    expect(loneOf([0, 1, 2, 3, 4], [null, undefined, 7, undefined, null])).toEqual([2]);
  });

  it("are none where nothing breaks", () => {
    expect(loneOf([0, 1], [1, 2])).toBeNull();
    expect(loneOf([], [])).toBeNull();
  });
});
