import { expect, it } from "vitest";
import { stepsOf, termArgs, termsText } from "./terms";

it.each(["0", "-1", "1.5", "x", "1e3", "1000000001"])("a number of steps is whole and at least 1: %s", (typed) =>
  expect(stepsOf(typed).fault).not.toBeNull(),
);

it("may stay empty, and have spaces", () => {
  expect(stepsOf(" ")).toEqual({ steps: null, fault: null });
  expect(stepsOf("1\u2009200 ")).toEqual({ steps: 1200, fault: null });
  expect(stepsOf("1,000").fault).toContain("1000 or 1.000?");
});

it("only what was given goes on the wire", () => {
  expect([termArgs(null, null), termArgs(20, null), termArgs(null, 5)]).toEqual([
    {},
    { ramp_steps: 20 },
    { lease_steps: 5 },
  ]);
});

it("says when a lease will end, as far as that is known", () => {
  expect(termsText({ lease_steps: 50 }, 100)).toBe(", for 50 steps, to about step 150; then it ends by itself");
  expect(termsText({ ramp_steps: 50 }, null)).toBe(", evenly over 50 steps");
});
