import { describe, expect, it } from "vitest";
import { alertOf, commandOf, runOf } from "./models";

describe("a run", () => {
  it("is read from JSON words and from numbers alike", () => {
    const component = {
      name: "NaN",
      raw: "NaN",
      weight: 0.01,
      contribution: "Infinity",
      share: null,
      bounds: [0, null],
    };
    const run = runOf({
      id: "r",
      state: "running",
      step: 12,
      total: "Infinity",
      health: "critical",
      alerts: { critical: 2, warning: 1 },
      components: [component],
    });
    expect(run).toMatchObject({ state: "running", step: 12, total: Infinity, critical: 2, warning: 1 });
    expect(run.components[0]).toMatchObject({
      name: "NaN",
      raw: NaN,
      contribution: Infinity,
      share: null,
      low: 0,
      high: Infinity,
    });
    expect(runOf({ total: -Infinity }).total).toBe(-Infinity);
  });

  it("of which nothing is known yet has neutral values", () => {
    expect(runOf(null)).toMatchObject({ state: "waiting", step: null, total: null, health: "unknown", components: [] });
  });
});

describe("an alert", () => {
  it("keeps evidence numbers in order, and its values with what is not finite", () => {
    const evidence = {
      text: "why",
      values: [
        [1, 2],
        [3, "NaN"],
      ],
      ratio: 4,
      limit: "Infinity",
      note: "no number",
    };
    const alert = alertOf({ id: "a", severity: "critical", evidence });
    expect(alert.evidence).toEqual([
      ["ratio", 4],
      ["limit", Infinity],
    ]);
    expect(alert.values).toEqual([
      [1, 2],
      [3, NaN],
    ]);
    expect(alert.evidenceText).toBe("why");
  });

  it("without blame and remedy has none", () => {
    expect(alertOf({ id: "a", blame: null })).toMatchObject({ blame: null, remedy: null });
  });
});

it("a command's refusal is a sentence, alone or in the one shape of a refusal", () => {
  expect(commandOf({ refusal: "no" }).refusal).toBe("no");
  expect(commandOf({ refusal: { error: "x", message: "because" } }).refusal).toBe("because");
  expect(commandOf({ refusal: null }).refusal).toBeNull();
});
