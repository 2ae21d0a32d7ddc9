import { expect, it } from "vitest";
import { HABITS, habitsOf } from "./habits";

it("everything is on until it is turned off", () => {
  expect(habitsOf(null)).toEqual(HABITS);
  expect(Object.values(HABITS)).not.toContain(false);
});

it("what was turned off stays off", () => {
  const kept = { ...HABITS, sound: false, tab: false };
  expect(habitsOf(JSON.stringify(kept))).toEqual(kept);
});

it.each(["", "{", "[]", "7", '{"sound": "no", "nonsense": false}'])("%s turns nothing off", (stored) =>
  expect(habitsOf(stored)).toEqual(HABITS),
);
