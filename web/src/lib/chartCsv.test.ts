import { expect, it } from "vitest";
import { chartCsv, headCell } from "./chartCsv";
import { fold } from "./fold";
import { SeriesBuffer } from "./series";

function series(values: readonly number[], from = 0): SeriesBuffer {
  const buffer = new SeriesBuffer();
  values.forEach((value, i) => buffer.append(from + i, value));
  return buffer;
}

it("single points are cells, and what is not finite is a word", () => {
  const folded = fold([series([1, NaN, 0.1, -Infinity]), series([2], 2)], { from: 0, to: 3 }, 100);
  expect(chartCsv(["a", "b"], folded, 0, 3).split("\r\n")).toEqual([
    '"step","a","b"',
    "0,1,",
    "1,NaN,",
    "2,0.1,2",
    "3,-Infinity,",
    "",
  ]);
});

it("folded points are their ends, their mean and what was not finite", () => {
  const folded = fold([series([1, 3, 2, NaN, 5, 5])], { from: 0, to: 5 }, 4);
  expect(chartCsv(["a"], folded, 0, 5).split("\r\n")).toEqual([
    '"step","a min","a max","a mean","a not finite"',
    "0,1,3,2,",
    "3,5,5,5,NaN",
    "",
  ]);
});

it("names are quoted and run nothing", () => {
  expect(headCell('=cmd|"x"')).toBe(`"'=cmd|""x"""`);
  expect(headCell("step")).toBe(`"step'"`);
  expect(headCell("grad_norm/a;-b")).toBe(`"grad_norm/a;'-b"`);
});

it("neighbours just outside of the window are no rows", () => {
  const folded = fold([series([1, 2, 3, 4, 5])], { from: 1, to: 3 }, 100);
  expect(chartCsv(["a"], folded, 1, 3).split("\r\n")).toHaveLength(5);
});
