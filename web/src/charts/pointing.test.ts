import { expect, it } from "vitest";
import { nextStep } from "./pointing";

const on = (cursor: number | null, stride = 1): Parameters<typeof nextStep>[1] => ({
  window: () => ({ from: 10, to: 100 }),
  newest: () => 100,
  stride: () => stride,
  cursor: () => cursor,
});

it("arrows move by what one pixel stands for, within the window", () => {
  expect(nextStep("ArrowRight", on(50))).toBe(51);
  expect(nextStep("ArrowLeft", on(50, 7.4))).toBe(43);
  expect(nextStep("ArrowLeft", on(12, 7))).toBe(10);
  expect(nextStep("ArrowRight", on(100))).toBe(100);
});

it("begins at the newest step, goes to the ends, and Escape takes it away", () => {
  expect(nextStep("ArrowLeft", on(null))).toBe(100);
  expect([nextStep("Home", on(50)), nextStep("End", on(50))]).toEqual([10, 100]);
  expect(nextStep("Escape", on(50))).toBeNull();
});

it("stops at the newest step where the window has room behind it", () => {
  const roomy = { ...on(97), newest: () => 97 };
  expect([nextStep("End", roomy), nextStep("ArrowRight", roomy)]).toEqual([97, 97]);
  expect(nextStep("End", { ...roomy, newest: () => null })).toBe(100);
});

it("leaves other keys alone", () => {
  expect(nextStep("Escape", on(null))).toBeUndefined();
  expect(nextStep("a", on(50))).toBeUndefined();
  expect(nextStep("ArrowLeft", { ...on(50), window: () => null })).toBeUndefined();
});
