import { expect, it } from "vitest";
import { type Command, commandOf } from "./models";
import { changedSince, expectedVersion, versionOf } from "./version";

const of = (number: number, kind = "set_weight", state = "applied"): Command =>
  commandOf({ id: `c${number}`, number, kind, state });
const NOBODY: ReadonlySet<string> = new Set();

it("a version is the newest command that was seen", () => {
  expect([versionOf([]), versionOf([of(3), of(7), of(5)])]).toEqual([0, 7]);
});

it("what others did to the schedule since is told in order, and nothing else", () => {
  const commands = [of(9), of(8, "pause"), of(7, "gate", "rejected"), of(6, "hold_stage"), of(4)];
  expect(changedSince(commands, 4, new Set(["c9"])).map(({ number }) => number)).toEqual([6]);
});

it("what this page sent itself is no surprise, up to where somebody else came between", () => {
  const commands = [of(8), of(7), of(6), of(5)];
  expect(expectedVersion(commands, 5, new Set(["c6", "c7", "c8"]))).toBe(8);
  expect(expectedVersion(commands, 5, new Set(["c6", "c8"]))).toBe(6);
  expect(expectedVersion(commands, 5, NOBODY)).toBe(5);
});

it("what steers nothing is seen with what stands around it", () => {
  expect(expectedVersion([of(7, "pause"), of(6)], 6, NOBODY)).toBe(7);
});
