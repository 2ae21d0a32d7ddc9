import { expect, it } from "vitest";
import { partText, rounded, sharesOf } from "./blame";

const part = (
  component: string,
  percent: number,
  cause = "loss",
): { component: string; cause: string; delta: number; percent: number } => ({
  component,
  cause,
  delta: percent / 10,
  percent,
});

it.each([[[33.3333, 33.3333, 33.3334]], [[98.41, 2.54, -1.13, 0.18]], [[120.5, -20.5]], [[0.4, 0.4, 0.4, 98.8]]])(
  "shows percents that add up to exactly 100: %j",
  (percents) => {
    const shown = sharesOf(percents.map((percent, i) => part(`c${i}`, percent))).map((share) => share.shown);
    expect(shown.reduce((a, b) => a + b, 0)).toBe(100);
  },
);

it("puts the largest mover first, and gives it the largest part of the bar", () => {
  const shares = sharesOf([part("ce", -10), part("precursor", 110, "schedule")]);
  expect(shares.map((share) => share.component)).toEqual(["precursor", "ce"]);
  expect(shares[0]?.width).toBeCloseTo(110 / 120);
});

it("shows no bar of percents that are no numbers", () => {
  expect(sharesOf([part("ce", NaN), part("precursor", 100)])).toEqual([]);
  expect(sharesOf([])).toEqual([]);
});

it("says what moved, and how far", () => {
  const [share] = sharesOf([part("precursor", 100, "schedule")]);
  expect(share && partText(share)).toBe("precursor, weight moved: +10 (100 %)");
});

it("rounds to a given sum", () => {
  expect(rounded([1.5, 1.5], 3)).toEqual([2, 1]);
});
