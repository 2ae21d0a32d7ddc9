import { expect, it } from "vitest";
import { duration, exact, live, share, short, step, tick } from "./format";

it("says a number in four digits, a non-finite one as such, an absent one as a dash", () => {
  expect([0.01, 1.6e-5, 705.3, 9.2134, 0, -0.5, 1e12, 12_345].map((value) => short(value))).toEqual([
    "0.01",
    "1.6e-5",
    "705.3",
    "9.213",
    "0",
    "-0.5",
    "1e12",
    "12345",
  ]);
  expect(tick(1000)).toBe("1000");
  expect([NaN, Infinity, -Infinity, null].map((value) => short(value))).toEqual(["NaN", "+Inf", "−Inf", "–"]);
});

it("keeps the width of a number that changes", () => {
  expect([2.2, 2.25, 7, 0.5].map(live)).toEqual(["2.200", "2.250", "7.000", "0.5000"]);
});

it("keeps every digit of a number to be edited", () => {
  for (const value of [1.6e-5, 0.1, 123.456789, 1 / 3]) expect(Number(exact(value))).toBeCloseTo(value, 14);
});

it("says shares, steps and durations", () => {
  expect([0.762, 0.005, 0.0002, 0, 1, NaN, null].map(share)).toEqual([
    "76 %",
    "0.5 %",
    "<0.1 %",
    "0 %",
    "100 %",
    "NaN",
    "–",
  ]);
  expect([7, 1234, 1_204_000].map(step)).toEqual(["7", "1\u2009234", "1\u2009204\u2009000"]);
  expect([0.24, 12.9, 200, 7500, 200_000, null].map(duration)).toEqual([
    "0.2 s",
    "12 s",
    "3 m 20 s",
    "2 h 5 m",
    "2 d 7 h",
    "–",
  ]);
});
