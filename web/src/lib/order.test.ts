import { expect, it } from "vitest";
import { byName } from "./order";

it("orders names as a person counts, and no two alike", () => {
  expect(["s10", "s2", "b", "s1", "s01"].sort(byName)).toEqual(["b", "s01", "s1", "s2", "s10"]);
});
