import { describe, expect, it } from "vitest";
import { gathered } from "./gather";
import type { Mark } from "./overlay";

const WINDOW = { from: 0, to: 1000 };
const mark = (step: number, change: Partial<Mark> = {}): Mark => ({
  id: `m-${step}`,
  kind: "trip",
  severity: "warning",
  step,
  text: `trip: ${step}`,
  card: null,
  ...change,
});
const run = (from: number, to: number): Mark[] => Array.from({ length: to - from + 1 }, (_, i) => mark(from + i));

describe("neighbouring trips", () => {
  it("are one mark over their steps", () => {
    const marks = gathered(run(420, 436), WINDOW);
    expect(marks).toMatchObject([{ kind: "trip", step: 420, to: 436 }]);
    expect(marks[0]?.text).toBe("17 trips, steps 420 to 436; the first: 420");
  });

  it("at consecutive steps are one however near one looks", () => {
    expect(gathered(run(420, 424), { from: 415, to: 430 })).toHaveLength(1);
  });

  it("are told apart where more than a fiftieth of the window lies between them", () => {
    const marks = [mark(100), mark(120), mark(141)];
    expect(gathered(marks, WINDOW).map(({ step, to }) => [step, to])).toEqual([
      [100, 120],
      [141, undefined],
    ]);
    expect(gathered(marks, { from: 90, to: 150 })).toHaveLength(3);
  });

  it("are as grave as the gravest, and lead to the first card", () => {
    const marks = [mark(1), mark(2, { severity: "critical", card: "a" }), mark(3, { card: "b" })];
    expect(gathered(marks, WINDOW)).toMatchObject([{ severity: "critical", card: "a", to: 3 }]);
  });
});

it("a trip alone, and marks of other kinds between trips, stay as they are", () => {
  const alert = mark(421, { id: "a", kind: "alert", severity: "critical" });
  const alone = mark(700);
  const marks = gathered([...run(420, 421), alert, ...run(422, 430), alone], WINDOW);
  expect(marks.map(({ kind, step, to }) => [kind, step, to])).toEqual([
    ["trip", 420, 430],
    ["alert", 421, undefined],
    ["trip", 700, undefined],
  ]);
  expect(marks[2]).toBe(alone);
});
