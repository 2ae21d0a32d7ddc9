import { expect, it } from "vitest";
import { typedNumber } from "./typed";

it.each([
  ["1000", 1000],
  [" 1.6e-5 ", 1.6e-5],
  ["1\u2009200", 1200],
  ["0,05", 0.05],
  ["1,5", 1.5],
  ["0,005", 0.005],
  ["-0,125", -0.125],
  ["1.000", 1],
  ["1,0000", 1],
  ["1,000,000", 1e6],
  ["1,000.5", 1000.5],
  ["1234,567", 1234.567],
])("%j is %d", (typed, value) => expect(typedNumber(typed)).toEqual({ value, fault: null }));

it.each([
  ["1,000", "1000 or 1.000?"],
  ["-12,500", "-12500 or -12.500?"],
  ["1,234e2", "1234e2 or 1.234e2?"],
])("%j could be two numbers, and is asked", (typed, asked) => {
  const { value, fault } = typedNumber(typed);
  expect(value).toBeNull();
  expect(fault).toContain(asked);
});

it.each(["", " ", "abc", "1,00,000", "NaN", "Infinity", "1.000,5", "0x", "1,,5"])("%j is no number", (typed) =>
  expect(typedNumber(typed)).toEqual({ value: null, fault: "not a number" }),
);
