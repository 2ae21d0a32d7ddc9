import { expect, it } from "vitest";
import { effectNumberText, effectOf, judgedAt, verdictText } from "./effect";

const EFFECT = {
  verdict: "worked",
  at_step: 600,
  steps: 50,
  text: "The share of x fell from 71 % to 24 % in 50 steps: worked.",
  numbers: {
    total: [9.2, 2.9],
    share: [0.71, 0.24],
    grad_norm: [1, "NaN"],
    alerts: [1, 0],
    not_finite: [0, 0],
    critical: [1, 0],
  },
};

it("a verdict has a sign, a word and a step at which it was said", () => {
  const effect = effectOf(EFFECT);
  expect(effect && [verdictText(effect), judgedAt(effect)]).toEqual([["✓", "worked"], 650]);
});

it("that cannot be said is no verdict", () => {
  const effect = effectOf({ ...EFFECT, verdict: "no effect", decided: false });
  expect(effect && verdictText(effect)).toEqual(["?", "cannot be said"]);
});

it("has its numbers before and after, shares as such, by component too", () => {
  expect(effectOf(EFFECT)?.numbers.map(effectNumberText)).toEqual([
    "total 9.2 → 2.9",
    "share 71 % → 24 %",
    "grad norm 1 → NaN",
    "alerts 1 → 0",
    "critical 1 → 0",
  ]);
  const many = effectOf({ ...EFFECT, numbers: { share: { x: [0.5, 0.1], y: null } } });
  expect(many?.numbers.map(effectNumberText)).toEqual(["share of x 50 % → 10 %"]);
});

it("is none until it was judged", () => expect(effectOf(null)).toBeNull());
