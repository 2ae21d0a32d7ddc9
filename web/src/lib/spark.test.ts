import { expect, it } from "vitest";
import { sparkOf } from "./spark";

it("draws values from the lowest at the bottom to the highest at the top", () => {
  expect(
    sparkOf(
      [
        [0, 1],
        [10, 3],
      ],
      100,
      30,
    ),
  ).toEqual({ path: "M0.0 30.0L100.0 0.0", marks: [] });
});

it("breaks at what is not finite, and marks it", () => {
  expect(
    sparkOf(
      [
        [0, 1],
        [5, NaN],
        [10, 1],
      ],
      100,
      30,
    ),
  ).toEqual({ path: "M0.0 15.0M100.0 15.0", marks: [50] });
});
