// @vitest-environment happy-dom
import { act } from "preact/test-utils";
import { describe, expect, it, vi } from "vitest";
import { bucketsOf } from "../lib/buckets";
import { incidentOf } from "../lib/incidents";
import { alertOf, commandOf, runOf, seriesInfoOf } from "../lib/models";
import { spanBlameOf } from "../lib/span";
import type { Action } from "../lib/state";
import { packedBuckets } from "../lib/testBuckets";
import { AlertCard } from "./AlertCard";
import { IncidentList } from "./IncidentList";
import { RangeBlame } from "./RangeBlame";
import { NOBODY } from "./testDesks";
import {
  NASTY,
  RUN,
  acknowledge,
  command,
  control,
  copyText,
  dispatch,
  evidence,
  explained,
  find,
  isDisabled,
  judge,
  press,
  root,
  show,
  silence,
  useWorld,
} from "./testWorld";

useWorld();

const remedy = { kind: "set_weight", args: { component: "precursor", value: 1.6e-5 }, text: "less" };
const parts = [
  { component: "precursor", cause: "schedule", delta: 5.9, percent: 103 },
  { component: "ce", cause: "loss", delta: -0.2, percent: -3 },
];
const fired = (id: string, more: Record<string, unknown> = {}): Action => ({
  type: "alert",
  alert: alertOf({ id, run: "r", incident: "i", state: "firing", step: 600, rule: id, remedy, ...more }),
});
const opened = (more: Record<string, unknown> = {}): Action => ({
  type: "incident",
  incident: incidentOf({
    id: "i",
    run: "r",
    state: "open",
    severity: "critical",
    first_step: 588,
    headline: { alert: "a", rule: "contribution_dominates", component: "precursor", message: "precursor adds 5.7" },
    cause: { text: "The component precursor." },
    first_bad: [{ series: "grad_norm/head", step: 588, lead_steps: 12, deviation: 4 }],
    alerts: ["a", "b"],
    blame: { parts, text: "The total rose by 5.7." },
    remedy,
    ...more,
  }),
});
const shown = (): string => root.textContent.replaceAll("\u2009", " ");

describe("an incident's card", () => {
  it("says what, since when, why, who, what to do and what went first, and holds its alerts", async () => {
    await dispatch(opened(), fired("a"), fired("b"), fired("alone", { incident: null }));
    await show(<IncidentList run={RUN} />);
    for (const said of [
      "1 open",
      "critical, since step 588",
      "precursor adds 5.7",
      "The component precursor.",
      "Set precursor weight 0.01 → 1.6e-5",
      "grad_norm/head",
      "12 steps before",
      "2 alerts",
      "Alerts of no incident",
    ])
      expect(shown()).toContain(said);
    const percents = [...shown().matchAll(/\((-?\d+) %\)/g)].map(([, percent]) => Number(percent));
    expect(percents.reduce((a, b) => a + b, 0)).toBe(100);
    expect(find("incident")?.querySelectorAll("[data-testid=alert-line]")).toHaveLength(2);
    expect(root.querySelectorAll("[data-testid=alert-remedy]"), "once a remedy, and once of the other").toHaveLength(2);
  });

  it("sends the remedy for the alert that offers it, and offers it no more once it is under way", async () => {
    await dispatch(opened(), fired("b"));
    await show(<IncidentList run={RUN} />);
    await press("alert-remedy");
    expect(command).toHaveBeenCalledExactlyOnceWith("set_weight", remedy.args, "b");
    const sent = { id: "c", run: "r", alert: "b", kind: "set_weight", args: remedy.args, state: "sent" };
    await dispatch({ type: "command", command: commandOf(sent) });
    expect(find("alert-remedy")).toBeNull();
    expect(shown()).toContain("on its way to the trainer");
    await dispatch(opened({ remedy: { ...remedy, args: { component: "precursor", value: 1e-6 } } }));
    expect(find("alert-remedy")).not.toBeNull();
  });

  it("acknowledges all of its alerts that nobody has acknowledged", async () => {
    await dispatch(opened(), fired("a"), fired("b", { state: "acknowledged" }), fired("c"));
    await show(<IncidentList run={RUN} />);
    expect(find("incident-ack")?.textContent).toBe("Acknowledge its 2 alerts");
    await press("incident-ack");
    expect(acknowledge.mock.calls).toEqual([["a"], ["c"]]);
  });

  it("of a run that is over says that it was open then, and offers nothing", async () => {
    await dispatch(opened({ remedy: { kind: "pause", args: {}, text: "Pause the run." } }), fired("a"), fired("b"));
    await show(<IncidentList run={{ ...RUN, state: "finished" }} />);
    expect(find("incident")?.querySelector(".badge")?.textContent).toBe("open when the run ended");
    expect(find("alert-line")?.querySelector("summary")?.textContent).toContain("since 600, open when the run ended");
    expect([find("alert-remedy"), find("incident-ack"), find("alert-ack")]).toEqual([null, null, null]);
  });

  it("names its rule by the title, and an alert's series", async () => {
    await dispatch(opened(), fired("a", { rule: "contribution_dominates", series: "contribution/precursor" }));
    await show(<IncidentList run={RUN} />);
    expect(find("incident")?.querySelector("h3")?.textContent).toBe("Contribution out of proportion: precursor");
    const line = find("alert-line")?.querySelector("summary")?.textContent;
    expect(line).toContain("Contribution out of proportion contribution/precursor");
  });

  it("is a line when it is over, and offers nothing", async () => {
    await dispatch(opened({ state: "closed", last_step: 700 }), fired("a", { state: "resolved" }));
    await show(<IncidentList run={RUN} />);
    expect(find("incident-closed")?.querySelector("summary")?.textContent).toContain("588 – 700 closed");
    expect(find("alert-remedy")).toBeNull();
    expect(find("incident-ack")).toBeNull();
  });

  it("shows names from the wire as text", async () => {
    const headline = { alert: "a", rule: NASTY, component: NASTY, message: NASTY };
    const first = [{ series: NASTY, step: 1, lead_steps: 1 }];
    await dispatch(opened({ headline, cause: { text: NASTY }, first_bad: first }), fired("a"));
    await show(<IncidentList run={RUN} />);
    expect(root.querySelector("img")).toBeNull();
    expect(shown()).toContain(NASTY);
  });

  it("says how far off the stage is that it saw coming", async () => {
    const stages = [{ index: 1, name: "2: precursor", start: 900 }];
    await dispatch(
      { type: "detail", run: "r", detail: { stages } },
      opened(),
      fired("a", { series: "grad_norm/total", evidence: { stage: "2: precursor", forecast: { doubles_every_steps: 90 } } }),
    );
    await show(<IncidentList run={runOf({ id: "r", step: 840 })} />);
    expect(find("ahead")?.textContent).toBe("Stage 2: precursor begins in 60 steps, at step 900.");
    expect(find("forecast")?.textContent).toBe("grad_norm/total doubles every 90 steps");
  });

  it("holds the stage off that it saw coming, while it comes", async () => {
    const stages = [{ index: 1, name: "2: precursor", start: 900 }];
    await dispatch({ type: "detail", run: "r", detail: { stages } }, opened(), fired("a", { evidence: { stage: "2: precursor" } }));
    const able = { ...RUN, controls: ["hold_stage"], step: 840 };
    await show(<IncidentList run={able} />);
    await press("ahead-hold");
    expect(command).toHaveBeenLastCalledWith("hold_stage", {}, "a");
    expect(isDisabled("ahead-hold")).toBe(false);
    await dispatch({ type: "command", command: commandOf({ id: "h", run: "r", kind: "hold_stage", state: "queued" }) });
    expect(isDisabled("ahead-hold")).toBe(true);
    for (const run of [{ ...able, step: 900 }, { ...able, state: "finished" as const }, { ...able, controls: [] }]) {
      await show(<IncidentList run={run} />);
      expect(find("ahead-hold")).toBeNull();
    }
  });
});

describe("what is said of an alert", () => {
  const alert = (more: Record<string, unknown> = {}): ReturnType<typeof alertOf> =>
    alertOf({ id: "a", run: "r", state: "firing", ...more });

  it("is a verdict that is taken back by pressing it again", async () => {
    await show(<AlertCard alert={alert()} run={RUN} />);
    await press("verdict-false");
    expect(judge).toHaveBeenLastCalledWith("a", "false");
    await show(<AlertCard alert={alert({ verdict: "false" })} run={RUN} />);
    expect(find("verdict-false")?.getAttribute("aria-pressed")).toBe("true");
    expect(find("verdict-true")?.getAttribute("aria-pressed")).toBe("false");
    await press("verdict-false");
    expect(judge).toHaveBeenLastCalledWith("a", null);
  });

  it("is a silence that can be ended", async () => {
    await show(<AlertCard alert={alert()} run={RUN} />);
    await press("silence-480");
    expect(silence).toHaveBeenLastCalledWith("a", 480);
    await show(<AlertCard alert={alert({ silenced_until_s: 1_000 + 3600 })} run={RUN} />);
    expect(find("silence-480")).toBeNull();
    expect(find("silenced")?.textContent).toContain("(60 min)");
    await press("silence-0");
    expect(silence).toHaveBeenLastCalledWith("a", 0);
  });

  it("says why it was not taken", async () => {
    judge.mockResolvedValueOnce("The disk is full.");
    await show(<AlertCard alert={alert()} run={RUN} />);
    await press("verdict-true");
    expect(shown()).toContain("The disk is full.");
    await dispatch({ type: "link", link: "down" });
    expect(isDisabled("verdict-true")).toBe(true);
  });

  it("is only shown to who may not say it", async () => {
    await dispatch({ type: "access", scopes: ["view"] });
    await show(<AlertCard alert={alert({ verdict: "true", silenced_until_s: 9_000 })} run={RUN} />);
    expect(shown()).toContain("Verdict: true alarm");
    expect(find("silenced")?.textContent).toContain("Silenced until");
    expect(root.querySelectorAll("button")).toHaveLength(0);
  });
});

describe("the blame of a range", () => {
  it("is a sentence, a bar and a table, or the reason why there is none", async () => {
    await show(<RangeBlame />);
    expect(find("range-blame")).toBeNull();
    explained.value = { kind: "asked", from: 100, to: 170 };
    await show(<RangeBlame />);
    expect(shown()).toContain("steps 100 to 170");
    const components = [{ component: "ce", weight: [1, 1], loss: [2, 2.1] }];
    const span = spanBlameOf({ parts, text: "It rose.", components, total: { from: 1, to: 2, delta: 1 } });
    explained.value = { kind: "told", from: 100, to: 170, span };
    await show(<RangeBlame />);
    expect(find("range-text")?.textContent).toBe("It rose.");
    expect(root.querySelectorAll(".blame-bar rect")).toHaveLength(2);
    expect(find("range-row")?.textContent).toContain("2 → 2.1");
    explained.value = { kind: "refused", from: 100, to: 170, why: "There is nothing to compare." };
    await show(<RangeBlame />);
    expect(find("range-refused")?.textContent).toBe("There is nothing to compare.");
  });
});

describe("what can be done about an incident as a whole", () => {
  it("is a verdict and a silence on all of its alerts, taken back alike", async () => {
    await dispatch(opened(), fired("a"), fired("b"), fired("c", { state: "resolved" }));
    await show(<IncidentList run={RUN} />);
    await press("incident-verdict-false");
    expect(judge.mock.calls).toEqual([["a", "false"], ["b", "false"], ["c", "false"]]);
    await dispatch();
    await press("incident-silence-60");
    expect(silence.mock.calls).toEqual([["a", 60], ["b", 60]]);
    const said = { verdict: "false", silenced_until_s: 1_000 + 3600 };
    await dispatch(fired("a", said), fired("b", said), fired("c", { state: "resolved", verdict: "false" }));
    expect(find("incident-verdict-false")?.getAttribute("aria-pressed")).toBe("true");
    expect(find("incident-silenced")?.textContent).toContain("(60 min)");
    await dispatch();
    await press("incident-silence-0");
    expect(silence.mock.calls.slice(2)).toEqual([["a", 0], ["b", 0]]);
  });

  it("is a link without a token, which can be copied", async () => {
    await dispatch(opened(), fired("a"), fired("b"));
    await show(<IncidentList run={RUN} />);
    expect(find("incident-link")?.getAttribute("href")).toBe("#run=r&alert=a");
    await press("incident-copy");
    expect(copyText).toHaveBeenCalledExactlyOnceWith("http://host/#run=r&alert=a");
  });

  it("is foreseen before the press, and only read where the token may only look", async () => {
    control.whatIf = vi.fn(() => Promise.resolve(NOBODY));
    await dispatch(opened({ remedy: { kind: "pause", args: {}, text: "Pause the run." } }), fired("a"));
    await show(<IncidentList run={RUN} />);
    expect(find("remedy-promise")?.textContent).toContain("Training waits before the next step");
    await dispatch(opened());
    expect(find("remedy-what-if")?.dataset["state"]).toBe("asked");
    await dispatch({ type: "access", scopes: ["view"] });
    expect([find("alert-remedy"), find("incident-ack"), find("remedy-what-if")]).toEqual([null, null, null]);
    expect(find("remedy-readonly")?.textContent).toContain("Set precursor weight 0.01 → 1.6e-5");
  });
});

describe("the evidence", () => {
  it("draws the cause and the total, and another first sign when it is pressed", async () => {
    const buckets = bucketsOf(packedBuckets([580, 588, 590], [1, NaN, 3]));
    const names: string[][] = [];
    evidence.points = (_, series) => {
      names.push([...series]);
      return Promise.resolve({ ok: true, value: new Map(series.map((name) => [name, buckets])) });
    };
    const series = ["loss/total", "contribution/precursor"].map((name) => seriesInfoOf({ name }));
    await dispatch(
      { type: "detail", run: "r", detail: { series } },
      opened({ headline: { alert: "a", rule: "x", series: "contribution/precursor", message: "m" } }),
      fired("a"),
    );
    await show(<IncidentList run={RUN} />);
    expect(names).toEqual([["contribution/precursor", "loss/total"]]);
    expect(root.querySelectorAll(".evidence-plot")).toHaveLength(2);
    expect(root.querySelectorAll(".evidence-mark")).toHaveLength(2);
    expect(find("evidence-chart")?.textContent).toContain("1 not finite");
    await act(() => root.querySelector<HTMLElement>(".sign-series")?.click());
    expect(find("evidence-chart")?.dataset["series"]).toBe("grad_norm/head");
    expect(root.querySelector(".sign-series")?.getAttribute("aria-pressed")).toBe("true");
  });
});

it("an incident's own time is told in order, open once something was done about it", async () => {
  await dispatch(opened(), fired("a"));
  await show(<IncidentList run={{ ...RUN, step: 700 }} />);
  expect(find("timeline")?.hasAttribute("open")).toBe(false);
  const done = { id: "c", run: "r", alert: "a", kind: "set_weight", args: remedy.args, state: "applied", step: 640 };
  await dispatch({ type: "command", command: commandOf({ ...done, old: 0.01, new: 1.6e-5, actor: "bob" }) });
  expect(find("timeline")?.hasAttribute("open")).toBe(true);
  const rows = [...root.querySelectorAll<HTMLElement>(".timeline-row")];
  expect(rows.map((row) => row.dataset["kind"])).toEqual(["symptom", "alert", "command"]);
  expect(rows.at(-1)?.textContent).toContain("bob: precursor weight 0.01 → 1.6e-5");
});

it("of many that are over the older ones are folded", async () => {
  const closed = Array.from({ length: 8 }, (_, i) => opened({ id: `i${i}`, state: "closed", opened_s: i, alerts: [] }));
  await dispatch(...closed);
  await show(<IncidentList run={RUN} />);
  expect(root.querySelectorAll("[data-testid=incident-closed]")).toHaveLength(8);
  expect(find("incidents-older")?.querySelector("summary")?.textContent).toBe("3 older, closed");
});
