import { expect, it } from "vitest";
import { firstBadOf, firstBadText, ranksOf, stragglerText } from "./ranks";

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

it("the first bad rank is the one with the earliest step, and those of that step are named with it", () => {
  const ranks = ranksOf([
    rank(0, 1, { first_bad_step: 9 }),
    rank(1, 1),
    rank(2, 1, { first_bad_step: 7 }),
    rank(3, 1, { first_bad_step: 7 }),
  ]);
  const first = firstBadOf(ranks);
  expect(first && firstBadText(first, ranks)).toBe("first bad value on rank 2, step 7, as on rank 3");
  expect(firstBadOf(ranksOf([rank(0, 1), rank(1, null)]))).toBeNull();
});

it("a run that says nothing of ranks has none", () => expect(ranksOf(undefined)).toEqual([]));
