import { describe, expect, it } from "vitest";
import { aheadText, forecastOf, forecastText, foretelling, stageAhead, withoutAhead } from "./forecast";
import { alertOf, runOf } from "./models";

const plain = (said: string): string => said.replaceAll("\u2009", " ");
const said = (value: unknown): string => {
  const forecast = forecastOf(value);
  return forecast === null ? "" : plain(forecastText(forecast));
};

describe("a forecast", () => {
  it("says how fast it grows, and between which steps it crosses and overflows", () => {
    const forecast = {
      doubles_every_steps: 90.2,
      threshold: 5,
      threshold_step: [10_400, 10_600, 10_900],
      overflow_step: [19_000, 21_000, 23_000],
      overflow_within_steps: null,
    };
    expect(said(forecast)).toBe(
      "doubles every 90.2 steps; crosses 5 at step 10 400 to 10 900; overflows at step 19 000 to 23 000",
    );
  });

  it("says no more than is known", () => {
    expect(said({ doubles_every_steps: 3, threshold: 5, threshold_step: null, overflow_step: null })).toBe(
      "doubles every 3 steps",
    );
    expect(said({ doubles_every_steps: "Infinity", overflow_within_steps: 12 })).toBe(
      "grows faster and faster; overflows within 12 steps",
    );
    expect(forecastOf(null)).toBeNull();
  });

  it("of several alerts is that of the newest open one", () => {
    const alert = (id: string, step: number, state: string, every: number): ReturnType<typeof alertOf> =>
      alertOf({ id, step, state, evidence: { forecast: { doubles_every_steps: every } } });
    const its = [alert("a", 1, "firing", 10), alert("b", 5, "firing", 20), alert("c", 9, "resolved", 30)];
    expect(foretelling(its)?.id).toBe("b");
    expect(foretelling([alertOf({ id: "none" })])).toBeNull();
  });
});

describe("a coming stage", () => {
  const stages = [
    { index: 0, name: "1: ce", start: 0 },
    { index: 1, name: "2: both", start: 300 },
    { index: 2, name: "2: both", start: 900 },
  ];
  const alert = alertOf({ step: 400, evidence: { stage: "2: both" } });

  it("is the one that lay ahead when the alert began", () => {
    expect(stageAhead(alert, stages)?.start).toBe(900);
    expect(stageAhead(alertOf({ step: 400 }), stages)).toBeNull();
    expect(stageAhead(alertOf({ step: 400, evidence: { stage: "gone" } }), stages)).toBeNull();
  });

  it("is not told twice in different numbers of steps", () => {
    const said = "Stage '2: a. b' begins in 9,850 steps, at step 10,000. The total is then predicted to go up.";
    expect(withoutAhead(said)).toBe("The total is then predicted to go up.");
    const now = "Stage '2: a. b' begins at step 10000. The total is then predicted to go up.";
    expect(withoutAhead(now)).toBe("The total is then predicted to go up.");
    expect(withoutAhead("Stage fright.")).toBe("Stage fright.");
  });

  it("is told in steps from now, not from when the alert spoke", () => {
    const stage = { index: 2, name: "2: both", start: 900 };
    const text = (step: number, more: Record<string, unknown> = {}): string =>
      plain(aheadText(stage, runOf({ step, ...more })));
    expect(text(899)).toBe("Stage 2: both begins in 1 step, at step 900.");
    expect(text(400, { state: "running", steps_per_s: 10 })).toBe(
      "Stage 2: both begins in 500 steps (about 50 s), at step 900.",
    );
    expect(text(400, { state: "paused", steps_per_s: 10 })).toBe("Stage 2: both begins in 500 steps, at step 900.");
    expect(text(900)).toBe("Stage 2: both begins now.");
    expect(text(1900)).toBe("Stage 2: both began at step 900, 1 000 steps ago.");
    expect(text(400, { state: "stopped" })).toBe("Stage 2: both was not reached: the run is over.");
    expect(text(1900, { state: "finished" })).toContain("began at step 900");
    expect(aheadText({ ...stage, name: "warm-up" }, runOf({ step: 899 }))).toContain("Stage “warm-up” begins");
  });
});
