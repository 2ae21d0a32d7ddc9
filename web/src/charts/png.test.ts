import { expect, it } from "vitest";
import { rowsOf } from "./png";
import { lineOf } from "./spec";
import { look } from "../lib/palette";

it("the legend of a picture wraps, and one that is too long has a row of its own", () => {
  const lines = ["aaaa", "bbbb", "cccc", "d".repeat(80), "e"].map((label, i) => lineOf(label, label, look(i)));
  const rows = rowsOf(lines, (text) => text.length * 6, 140);
  expect(rows.map((row) => row.map(({ line }) => line.label[0]))).toEqual([["a", "b"], ["c"], ["d"], ["e"]]);
  expect(rows[0]?.map(({ x }) => x)).toEqual([0, 64]);
  expect(rowsOf([], () => 0, 100)).toEqual([]);
});
