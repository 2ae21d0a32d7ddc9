import { describe, expect, it } from "vitest";
import { type Incident, incidentOf } from "./incidents";
import { type Run, runOf } from "./models";
import { mustSurvey, noticesBetween, urgentTotal } from "./notices";
import { type Action, INITIAL, type State, reduce } from "./state";

const RUN = { id: "r", project: "p", name: "n", state: "running", connected: true };
const run = (critical: number, more: Record<string, unknown> = {}): Action => ({
  type: "run",
  run: runOf({ ...RUN, alerts: { critical }, ...more }),
  atMs: 0,
});
const its = (severity: string, more: Record<string, unknown> = {}): Incident =>
  incidentOf({
    id: "i",
    run: "r",
    state: "open",
    severity,
    headline: { rule: "loss_jump", component: "ce", message: "it jumped" },
    ...more,
  });
const told = (severity: string, more: Record<string, unknown> = {}): Action => ({
  type: "incident",
  incident: its(severity, more),
});
const after = (...actions: Action[]): State => actions.reduce(reduce, INITIAL);
const newsOf = (before: State, action: Action): string[] =>
  noticesBetween(before, reduce(before, action)).map(({ title, body }) => `${title} | ${body}`);
const QUIET = after(run(0));

describe("a notice", () => {
  it("comes once, when an incident opens as critical", () => {
    expect(newsOf(QUIET, told("critical"))).toEqual(["p/n: loss jump, ce | it jumped"]);
    const open = reduce(QUIET, told("critical"));
    expect(newsOf(open, told("critical", { alerts: ["a", "b"], last_step: 900 }))).toEqual([]);
  });

  it("calls the run as a person does", () => {
    expect(newsOf(after(run(0, { label: "best" })), told("critical"))).toEqual(["p/best: loss jump, ce | it jumped"]);
  });

  it("comes when a warning becomes critical, not for the warning", () => {
    expect(newsOf(QUIET, told("warning"))).toEqual([]);
    expect(newsOf(reduce(QUIET, told("warning")), told("critical"))).toHaveLength(1);
  });

  it("does not come for what closes, nor for what was there when the page came", () => {
    expect(newsOf(QUIET, told("critical", { state: "closed" }))).toEqual([]);
    const opened = after(run(2));
    expect(newsOf(opened, { type: "incidents", run: "r", incidents: [its("critical")] })).toEqual([]);
  });

  it("comes for what opened while the connection was gone", () => {
    expect(newsOf(QUIET, { type: "incidents", run: "r", incidents: [its("critical")] })).toHaveLength(1);
  });
});

describe("the incidents of another run", () => {
  const asked = (before: State, action: Action & { run: Run }): boolean =>
    mustSurvey(before, reduce(before, action), action.run);

  it("are asked for when it has more critical alerts than before, or had some when the page came", () => {
    expect(asked(QUIET, run(1) as Action & { run: Run })).toBe(true);
    expect(asked(after(run(1)), run(1) as Action & { run: Run })).toBe(false);
    expect(asked(INITIAL, run(1) as Action & { run: Run })).toBe(true);
  });

  it("are not asked for when it is on the screen, or was over before the page came", () => {
    expect(asked(after(run(0), { type: "select", run: "r" }), run(1) as Action & { run: Run })).toBe(false);
    expect(asked(INITIAL, run(1, { connected: false }) as Action & { run: Run })).toBe(false);
  });
});

it("the tab counts incidents over all runs, not alerts", () => {
  const state = after(run(5), told("critical"), run(3, { id: "s" }));
  expect(urgentTotal(state)).toBe(2);
  expect(urgentTotal(reduce(state, { type: "gone", run: "s" }))).toBe(1);
  expect(urgentTotal(reduce(state, run(3, { id: "s", archived: true })))).toBe(1);
});
