// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { incidentOf } from "../lib/incidents";
import { alertOf, commandOf, runOf } from "../lib/models";
import { spanBlameOf } from "../lib/span";
import type { Action } from "../lib/state";
import { AlertCard } from "./AlertCard";
import { IncidentList } from "./IncidentList";
import { RangeBlame } from "./RangeBlame";
import {
  NASTY,
  RUN,
  acknowledge,
  command,
  dispatch,
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
