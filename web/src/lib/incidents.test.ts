import { describe, expect, it } from "vitest";
import {
  type Incident,
  alertOfRemedy,
  grouped,
  incidentOf,
  incidentsOf,
  leadText,
  symptomStep,
  titleOf,
  urgentCount,
} from "./incidents";
import { type Alert, alertOf, runOf } from "./models";

const incident = (id: string, more: Record<string, unknown> = {}): Incident =>
  incidentOf({ id, run: "r", state: "open", severity: "critical", ...more });
const alert = (id: string, more: Record<string, unknown> = {}): Alert => alertOf({ id, run: "r", ...more });
const known = (...its: Incident[]): Record<string, Incident> => Object.fromEntries(its.map((one) => [one.id, one]));

describe("the order of incidents", () => {
  it("is open ones first, the critical on top, the newest of each above the older, and of this run only", () => {
    const its = known(
      incident("over", { opened_s: 8, first_step: 1, state: "closed" }),
      incident("over later", { opened_s: 9, first_step: 2, state: "closed" }),
      incident("early warning", { opened_s: 1, first_step: 3, severity: "warning" }),
      incident("older", { opened_s: 5, first_step: 20 }),
      incident("newest", { opened_s: 6, first_step: 10 }),
      incident("other", { run: "s", opened_s: 7 }),
    );
    expect(incidentsOf(its, "r").map(({ id }) => id)).toEqual([
      "newest",
      "older",
      "early warning",
      "over later",
      "over",
    ]);
  });
});

describe("a headline", () => {
  const about = (rule: string, component: string | null): Incident => incident("i", { headline: { rule, component } });

  it("is the rule's title, or its name where it has none here, and the component", () => {
    expect(titleOf(about("contribution_dominates", "precursor"))).toBe("Contribution out of proportion: precursor");
    expect(titleOf(about("loss_jump", null))).toBe("The total loss jumped");
    expect(titleOf(about("my_rule", null))).toBe("my rule");
  });
});

describe("an alert", () => {
  it("stands in the incident that it names, or that names it", () => {
    const { incidents, others } = grouped(
      [incident("i", { alerts: ["a"] }), incident("k")],
      [alert("a"), alert("b", { incident: "k" })],
    );
    expect(incidents.map((one) => one.alerts.map(({ id }) => id))).toEqual([["a"], ["b"]]);
    expect(others).toEqual([]);
  });

  it("stands by itself while its incident is not known", () => {
    const { others } = grouped([incident("i")], [alert("a", { incident: "not come yet" }), alert("b")]);
    expect(others.map(({ id }) => id)).toEqual(["a", "b"]);
  });
});

describe("first signs", () => {
  const its = incident("i", {
    first_bad: [
      { series: "grad_norm/head", step: 588, lead_steps: 12, deviation: 9 },
      { series: "loss/total", step: 600, lead_steps: 0, deviation: null },
      { series: "step_time_s", step: 601, lead_steps: -1, deviation: null },
    ],
  });

  it("say how long before the first symptom they came", () => {
    expect(its.firstBad.map(leadText)).toEqual(["12 steps before", "at the same step", "1 step after"]);
    expect(symptomStep(its)).toBe(600);
    expect(symptomStep(incident("none"))).toBeNull();
  });
});

describe("an incident's remedy", () => {
  const remedy = { kind: "set_weight", args: { component: "ce", value: 0.1 }, text: "" };
  const its = incident("i", { headline: { alert: "head" }, remedy });

  it("answers the alert that offers it", () => {
    const other = { ...remedy, args: { component: "ce", value: 0.2 } };
    expect(alertOfRemedy(its, [alert("head", { remedy: other }), alert("b", { remedy })])).toBe("b");
    expect(alertOfRemedy(its, [alert("b", { remedy }), alert("head", { remedy })])).toBe("head");
    expect(alertOfRemedy(its, [])).toBe("head");
  });
});

describe("how many are urgent", () => {
  const run = (critical: number): ReturnType<typeof runOf> => runOf({ id: "r", alerts: { critical } });

  it("counts incidents, not alerts", () => {
    const its = known(incident("i"), incident("k"), incident("over", { state: "closed" }));
    expect(urgentCount(its, run(7))).toBe(2);
    expect(urgentCount(its, run(0))).toBe(0);
  });

  it("is one where critical alerts are known and no incident yet", () => {
    expect(urgentCount({}, run(3))).toBe(1);
  });
});
