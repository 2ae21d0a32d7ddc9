import { expect, it } from "vitest";
import { boundsText, precisionOf, precisionText, rulesViewOf, setByText } from "./rules";
import { badgeText, rulesHealthOf, troublesOf } from "./rulesHealth";
import { loudRules, partDone, progressOf, summaryText, tiersText, trialLineOf, trialOf, verdictsText } from "./rulesTrial";

it("the precision is said with its interval, and nothing is said of no verdicts", () => {
  expect(precisionText(precisionOf({ true: 3, false: 1, precision: 0.75, low: 0.301, high: 0.954 }))).toBe(
    "3 of 4 true: 75 %, 30 to 95 %",
  );
  expect(precisionText(precisionOf({ true: 0, false: 0, precision: null, low: null, high: null }))).toBe(
    "nobody has judged its alerts yet",
  );
});

it("rules are in the order of their numbers, and what is missing is neutral", () => {
  const numbers = ["R10", "R2", "R0", ""].map((number) => ({ number }));
  const view = rulesViewOf({ rules: numbers, own: { x: { enabled: "no", parameters: { a: "b", c: 1 } } } });
  expect(view.rules.map((rule) => rule.number)).toEqual(["R0", "R2", "R10", ""]);
  expect(view.own).toEqual({ x: { parameters: { c: 1 } } });
  expect(rulesViewOf({ items: [{ name: "a" }] }).rules.map((rule) => rule.name)).toEqual(["a"]);
  expect(rulesViewOf(null)).toEqual({ own: {}, rules: [], ignored: [] });
});

it("a parameter says its bounds, its unit and who set it", () => {
  const [rule] = rulesViewOf({
    rules: [
      {
        parameters: [
          { low: 1.01, high: 1e6, default: 1.5, unit: "times", set_by: "run", text: "beyond `factor`" },
          { set_by: "?" },
        ],
      },
    ],
  }).rules;
  const [first, second] = rule?.parameters ?? [];
  expect(first === undefined ? "" : boundsText(first)).toBe("1.01 to 1e6 times");
  expect([first?.value, setByText(first?.setBy ?? "default")]).toEqual([1.5, "set for this run"]);
  expect(second?.setBy).toBe("default");
  expect(first?.text, "code marks are for the documentation").toBe("beyond factor");
});

it("rules that are late or have failed are told; a lag of a window is no news", () => {
  const health = rulesHealthOf({
    lag_s: 12.4,
    failed: [
      { run: "r", rule: "loss_jump", said: "ValueError: x", since_step: 70 },
      { run: "other", rule: "drift", said: "y" },
    ],
  });
  expect(troublesOf(health, "r")).toEqual(["rule loss jump failed at step 70: ValueError: x", "rules are 12 s behind"]);
  expect([badgeText(health, "r"), badgeText(health, "none")]).toEqual(["a rule failed", "rules are 12 s behind"]);
  expect(badgeText(rulesHealthOf({ lag_s: 5, failed: [] }), "r")).toBeNull();
});

const COUNTS = {
  now: { critical: 1, warning: 2 },
  then: { critical: 1, warning: 0 },
  both: 1,
  only_now: 2,
  only_then: 0,
  true: { marked: 2, still: 2 },
  false: { marked: 3, still: 1 },
};

it("a trial pairs what was found now and then as the server does, in order of step", () => {
  const trial = trialOf({
    rules: { drift: COUNTS, quiet: {} },
    total: COUNTS,
    runs: [
      {
        run: "r",
        alerts: [
          { rule: "a", severity: "critical", step: 9, then: "x" },
          { rule: "b", severity: "warning", step: 4, then: null },
        ],
        stored: [
          { id: "x", rule: "a", step: 8, now: true, verdict: "true" },
          { id: "y", rule: "c", step: 6, now: false, verdict: "false" },
        ],
      },
    ],
  });
  expect(trial.runs[0]?.findings.map(({ when, step, verdict }) => [when, step, verdict])).toEqual([
    ["only now", 4, null],
    ["only then", 6, "false"],
    ["both", 9, "true"],
  ]);
  expect(loudRules(trial.counts, []).map(([name]) => name)).toEqual(["drift"]);
  expect(summaryText(trial.total)).toBe("3 alerts with these rules, 1 at the time: 1 the same, 2 only now, 0 only then.");
  expect([tiersText(trial.total.now), tiersText(trial.total.then)]).toEqual(["1 critical, 2 warnings", "1 critical"]);
  expect(verdictsText(trial.total)).toBe("2 of 2 true kept, 1 of 3 false kept");
  expect(summaryText(trialOf({}).total)).toBe("Nothing: quiet with these rules, and it was quiet at the time.");
});

it("a line of the stream is progress, the result, or nothing that is known", () => {
  const line = { progress: { run: "r", number: 2, of: 4, step: 50, last_step: 100, alerts: 1 } };
  expect(trialLineOf(line)).toMatchObject({ progress: { number: 2 } });
  expect(trialLineOf({ result: {} })).toHaveProperty("trial");
  expect(trialLineOf("x")).toBeNull();
  expect(partDone(progressOf(line.progress))).toBeCloseTo(0.375);
  expect(partDone(progressOf({}))).toBe(1);
});
