import { describe, expect, it } from "vitest";
import { nowText, pathsOf, spanText, whatIfOf } from "./whatIf";

const ANSWER = {
  dry_run: true,
  from: 101,
  to: 103,
  steps: [101, 102, 103],
  total: { before: [4, "NaN", 2], after: [1, "NaN", 0] },
  share: { x: { before: 0.7, after: 0.2 } },
  now: { step: 103, total: { before: 2, after: 0 }, share: { x: { before: 0.5, after: null } } },
  left_out: 0,
  text: "Computed from the losses as they were.",
};

describe("a what-if", () => {
  it("says the newest step in numbers", () => {
    const whatIf = whatIfOf(ANSWER);
    expect(nowText(whatIf, "x")).toBe("share 50 % → –, total 2 → 0");
    expect(nowText(whatIf, null)).toBe("total 2 → 0");
  });

  it("says from which steps it was computed, and what it had to leave out", () => {
    expect(spanText(whatIfOf(ANSWER), "x")).toBe("Computed from steps 101 to 103; median share 70 % → 20 %.");
    expect(spanText(whatIfOf({ ...ANSWER, left_out: 2 }), null)).toBe(
      "Computed from steps 101 to 103 (2 without a loss are left out).",
    );
  });

  it("of a run without steps claims nothing", () => {
    const empty = whatIfOf({
      dry_run: true,
      from: null,
      to: null,
      steps: [],
      total: { before: [], after: [] },
      now: null,
    });
    expect(nowText(empty, "x")).toBe("");
    expect(spanText(empty, "x")).toBe("No stored steps from which it could be computed.");
    expect(pathsOf(empty, 300, 30)).toEqual({ before: "", after: "", low: null, high: null });
  });

  it("draws both lines on one scale, and breaks them where a value is not finite", () => {
    const { before, after, low, high } = pathsOf(whatIfOf(ANSWER), 100, 40);
    expect([low, high]).toEqual([0, 4]);
    expect(before).toBe("M0.0 0.0M100.0 20.0");
    expect(after).toBe("M0.0 30.0M100.0 40.0");
  });

  it("that changes nothing is a line in the middle", () => {
    const flat = whatIfOf({ ...ANSWER, total: { before: [1, 1, 1], after: [1, 1, 1] } });
    expect(pathsOf(flat, 100, 40).before).toBe("M0.0 20.0L50.0 20.0L100.0 20.0");
  });
});
