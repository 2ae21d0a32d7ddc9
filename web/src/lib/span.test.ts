import { describe, expect, it } from "vitest";
import { endsText, remarksOf, rowsOf, spanBlameOf } from "./span";

const ANSWER = {
  from_step: 100,
  to_step: 170,
  delta_total: 6.5,
  parts: [
    { component: "precursor", cause: "schedule", delta: 6.2, percent: 95 },
    { component: "precursor", cause: "loss", delta: 0.25, percent: 4 },
    { component: "ce", cause: "loss", delta: 0.05, percent: 1 },
  ],
  text: "The total rose by 6.5.",
  samples: 5,
  total: { from: 2.43, to: 8.94, delta: 6.51, unexplained: 1e-8 },
  components: [
    { component: "ce", weight: [1, 1], loss: [2.43, 2.48] },
    { component: "precursor", weight: [0, 0.01], loss: [596, 645] },
  ],
  assumed: [],
};

describe("the blame of a range", () => {
  it("is a row a component, what moved most first, with percents that add up to 100", () => {
    const rows = rowsOf(spanBlameOf(ANSWER));
    expect(rows.map((row) => row.component)).toEqual(["precursor", "ce"]);
    expect(rows[0]).toMatchObject({ byLoss: { delta: 0.25, percent: 4 }, bySchedule: { delta: 6.2, percent: 95 } });
    expect(rows[1]?.bySchedule).toBeNull();
    const percents = rows.flatMap((row) => [row.byLoss?.percent ?? 0, row.bySchedule?.percent ?? 0]);
    expect(percents.reduce((a, b) => a + b, 0)).toBe(100);
  });

  it("says nothing of what float32 rounds away, and says what no component explains", () => {
    expect(remarksOf(spanBlameOf(ANSWER))).toEqual(["Each end is the median of 5 rows."]);
    const odd = { ...ANSWER, samples: 1, total: { ...ANSWER.total, unexplained: -2 }, assumed: ["ce"] };
    expect(remarksOf(spanBlameOf(odd))).toEqual([
      "The total itself went from 2.43 to 8.94; -2 of that is in no component.",
      "Nobody said the weight of ce: 1 was taken.",
    ]);
  });

  it("reads values that are not finite as they are", () => {
    const broken = spanBlameOf({ ...ANSWER, total: null, components: [{ component: "ce", loss: [1, "NaN"] }] });
    expect(broken.components[0]?.loss).toEqual({ from: 1, to: NaN });
    expect(broken.total).toBeNull();
    expect(endsText({ from: 1, to: NaN })).toBe("1 → NaN");
    expect(endsText({ from: 1, to: 1 })).toBe("1");
  });
});
