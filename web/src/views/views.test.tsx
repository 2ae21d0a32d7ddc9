// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { alertOf, commandOf } from "../lib/models";
import { AlertCard } from "./AlertCard";
import { RunControls } from "./RunControls";
import { NASTY, RUN, command, dispatch, find, isDisabled, press, root, show, state, useWorld } from "./testWorld";
import { Vitals } from "./Vitals";

useWorld();

describe("an alert's card", () => {
  const remedy = { kind: "set_weight", args: { component: "precursor", value: 1.6e-5 }, text: "less" };
  const alert = alertOf({
    id: "a",
    run: "r",
    rule: "loss_jump",
    severity: "critical",
    state: "firing",
    step: 600,
    message: NASTY,
    component: NASTY,
    remedy,
  });

  it("shows names from the wire as text", async () => {
    await show(<AlertCard alert={alert} run={RUN} />);
    expect(root.querySelector("img")).toBeNull();
    expect(root.textContent).toContain(NASTY);
  });

  it("says what the remedy will do, sends exactly that, and shows the command's life", async () => {
    await show(<AlertCard alert={alert} run={RUN} />);
    expect(find("alert-remedy")?.textContent).toContain("Set precursor weight 0.01 → 1.6e-5 at the next step");
    await press("alert-remedy");
    expect(command).toHaveBeenCalledExactlyOnceWith("set_weight", remedy.args, "a");
    await dispatch({
      type: "command",
      command: commandOf({
        id: "c",
        run: "r",
        alert: "a",
        kind: "set_weight",
        state: "applied",
        step: 812,
        old: 0.01,
        new: 1.6e-5,
        history: [{ state: "applied" }],
      }),
    });
    expect(find("alert-remedy")).toBeNull();
    expect(root.textContent).toContain("applied at step 812: 0.01 → 1.6e-5");
  });

  it("offers the remedy again after a rejection, with its reason", async () => {
    await show(<AlertCard alert={alert} run={RUN} />);
    await dispatch({
      type: "command",
      command: commandOf({ id: "c", run: "r", alert: "a", state: "rejected", refusal: "out of bounds" }),
    });
    expect(root.textContent).toContain("rejected: out of bounds");
    expect(find("alert-remedy")).not.toBeNull();
  });

  it("offers nothing to a person who may only look", async () => {
    await dispatch({ type: "access", scopes: ["view"] });
    await show(<AlertCard alert={alert} run={RUN} />);
    expect([find("alert-remedy"), find("alert-ack")]).toEqual([null, null]);
  });
});

describe("run control", () => {
  it("stops only at the second press", async () => {
    await show(<RunControls run={RUN} />);
    await press("btn-stop");
    expect(command).not.toHaveBeenCalled();
    await press("btn-stop");
    expect(command).toHaveBeenCalledExactlyOnceWith("stop", {});
  });

  it("says that it is view only, and is", async () => {
    await dispatch({ type: "access", scopes: ["view"] });
    await show(<RunControls run={RUN} />);
    expect(root.textContent).toContain("View only");
    for (const kind of ["pause", "resume", "stop"]) expect(isDisabled(`btn-${kind}`)).toBe(true);
  });

  it.each([
    ["The server is gone", { type: "link", link: "down" }],
    ["The trainer is not connected", { type: "run", run: { ...RUN, connected: false }, atMs: 0 }],
    ["The run is over (stopped)", { type: "run", run: { ...RUN, state: "stopped" }, atMs: 0 }],
  ] as const)("is off, with a word why: %s", async (why, cause) => {
    await dispatch(cause);
    await show(<RunControls run={state.value.runs["r"] ?? RUN} />);
    expect(root.textContent).toContain(why);
    for (const kind of ["pause", "resume", "stop"]) expect(isDisabled(`btn-${kind}`)).toBe(true);
  });
});

describe("vital signs", () => {
  const said = (testid: string): string => find(testid)?.textContent.trim() ?? "";

  it.each(["lost", "finished", "stopped", "crashed"] as const)("of a run that is %s look so", async (over) => {
    const run = { ...RUN, state: over, stepsPerS: 12 };
    await dispatch({ type: "link", link: "up" }, { type: "run", run, atMs: 0 });
    await show(<Vitals run={run} />);
    expect(said("vital-state")).toContain(over);
    expect(said("vital-age")).toContain(over);
    expect(said("vital-rate")).toBe("–");
    expect(root.querySelector(".vitals-still")).not.toBeNull();
  });

  it("of a run that goes on do not", async () => {
    await show(<Vitals run={{ ...RUN, stepsPerS: 12 }} />);
    expect([said("vital-rate"), root.querySelector(".vitals-still")]).toEqual(["12.0", null]);
  });
});
