import { expect, it } from "vitest";
import { firstBadOf, isUnshown, notFiniteTexts, ranksOf, stragglerText } from "./ranks";

const rank = (number: number, ms: number | null, more: object = {}): object => ({
  rank: number,
  step_time_s: ms === null ? null : ms / 1000,
  ...more,
});

it("a straggler is told with its time, how much slower, and what it waits for", () => {
  const ranks = ranksOf([rank(0, 20), rank(1, 20), rank(2, 50, { is_straggler: true, data_wait_s: 0.03 })]);
  expect(ranks[2] && stragglerText(ranks[2], ranks)).toBe(
    "rank 2 is a straggler: 50 ms a step, 2.5 times the median, 30 ms of them waiting for data",
  );
});

it("who is not finite since when is told, the first on top, those of one step together", () => {
  const ranks = ranksOf([
    rank(0, 1, { first_bad_step: 9 }),
    rank(1, 1),
    rank(2, 1, { first_bad_step: 7 }),
    rank(3, 1, { first_bad_step: 7 }),
  ]);
  expect(firstBadOf(ranks)?.rank).toBe(2);
  expect(notFiniteTexts(ranks)).toEqual(["ranks 2, 3: not finite since step 7", "rank 0: not finite since step 9"]);
  const many = ranksOf(Array.from({ length: 12 }, (_, i) => rank(i, 1, { first_bad_step: 5 })));
  expect(notFiniteTexts(many)).toEqual(["ranks 0, 1, 2, 3, 4, 5, 6, 7 and 4 more: not finite since step 5"]);
  const fine = ranksOf([rank(0, 1), rank(1, null)]);
  expect([firstBadOf(fine), notFiniteTexts(fine)]).toEqual([null, []]);
});

it("no rule looks at a rank other than 0", () => {
  expect(isUnshown(ranksOf([rank(0, 1), rank(1, 1, { first_bad_step: 3 })]))).toBe(true);
  expect(isUnshown(ranksOf([rank(0, 1, { first_bad_step: 9 }), rank(1, 1, { first_bad_step: 3 })]))).toBe(false);
  expect(isUnshown(ranksOf([rank(0, 1), rank(1, 1)]))).toBe(false);
});

it("a run that says nothing of ranks has none", () => expect(ranksOf(undefined)).toEqual([]));
