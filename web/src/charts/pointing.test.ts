// @vitest-environment happy-dom
import { expect, it } from "vitest";
import { listenTo, nextStep } from "./pointing";

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

it("a mouse in the room behind the newest step points at this one", () => {
  const host = document.createElement("div");
  host.getBoundingClientRect = () => new DOMRect(0, 0, 90, 20);
  const pointed: (number | null)[] = [];
  const onCursor = (step: number | null): void => void pointed.push(step);
  const unheard = listenTo(host, { ...on(null), newest: () => 97, plotArea: () => host, onCursor, onTold: () => undefined });
  for (const clientX of [40, 89, 95])
    host.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY: 5, pointerType: "mouse" }));
  unheard();
  expect(pointed).toEqual([50, 97, null]);
});
