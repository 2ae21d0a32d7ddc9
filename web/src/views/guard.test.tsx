// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { alertOf, commandOf, runOf } from "../lib/models";
import { AlertCard } from "./AlertCard";
import { RunControls } from "./RunControls";
import { NASTY, RUN, command, dispatch, find, isDisabled, press, root, show, state, type, useWorld } from "./testWorld";
import { Vitals } from "./Vitals";

useWorld();

const text = (testid: string): string => find(testid)?.textContent.replaceAll("\u2009", " ").trim() ?? "";

describe("the origin on an alert's card", () => {
  const card = (origin: unknown): ReturnType<typeof alertOf> =>
    alertOf({
      id: "a",
      run: "r",
      rule: "nonfinite",
      severity: "critical",
      step: 9,
      message: "m",
      evidence: { origin },
    });

  it("names component, module, operation, phase, line and what the replay said", async () => {
    const origin = {
      component: "spectrum",
      module: "decoder.layers.3.norm",
      op: "aten.log.default",
      phase: "forward",
      where: { file: "/srv/train/models/loss.py", line: 42, function: "spectrum" },
      value: "nan",
      reproduced: true,
      steps_late: 2,
      text: "The evidence says this already.",
    };
    await show(<AlertCard alert={card(origin)} run={RUN} />);
    const said = text("origin");
    for (const part of ["Origin of the NaN", "reproduced by replay · 2 steps late", "spectrum", "aten.log.default"])
      expect(said).toContain(part);
    expect(said).toContain("models/loss.py:42 in spectrum");
    expect(said).not.toContain("already");
    expect([...root.querySelectorAll(".origin code")].map((code) => code.textContent)).toContain(
      "decoder.layers.3.norm",
    );
    expect(root.querySelectorAll(".origin wbr").length).toBeGreaterThan(5);
  });

  it("shows only what is known, and the sentence when no place is", async () => {
    await show(<AlertCard alert={card({ reproduced: null, text: "The batch was not kept." })} run={RUN} />);
    expect(text("origin")).toBe("Origin no replay possibleThe batch was not kept.");
    expect(root.querySelector(".origin dt")).toBeNull();
  });

  it("is not there when the alert has none", async () => {
    await show(<AlertCard alert={card(undefined)} run={RUN} />);
    expect(find("origin")).toBeNull();
  });

  it("shows paths from the wire as text", async () => {
    await show(<AlertCard alert={card({ module: NASTY, op: NASTY, where: NASTY, text: NASTY })} run={RUN} />);
    expect(root.querySelector("img")).toBeNull();
    expect(text("origin")).toContain(NASTY);
  });
});

describe("rolling back", () => {
  const able = { ...RUN, controls: ["rollback"], snapshotStep: 400, step: 512 };

  it("says exactly what will happen, and does it only then", async () => {
    await dispatch({ type: "run", run: able, atMs: 0 });
    await show(<RunControls run={able} />);
    await press("btn-rollback");
    expect(text("rollback-text")).toBe(
      "Weights, optimizer and random state go back in place to step 400, the newest healthy snapshot. " +
        "Training goes on with new data. Steps 400 to 512 will be shown no longer, but are kept.",
    );
    expect(command).not.toHaveBeenCalled();
    await press("btn-rollback-confirm");
    expect(command).toHaveBeenCalledExactlyOnceWith("rollback", {});
    expect(find("rollback-text")).toBeNull();
  });

  it("shows the command's life like that of others", async () => {
    await show(<RunControls run={able} />);
    await dispatch({
      type: "command",
      command: commandOf({ id: "c", run: "r", kind: "rollback", state: "sent", history: [{ state: "sent" }] }),
    });
    expect(root.textContent).toContain("on its way to the trainer");
  });

  it("is off with a word why while there is no snapshot", async () => {
    await show(<RunControls run={{ ...able, snapshotStep: null }} />);
    expect(isDisabled("btn-rollback")).toBe(true);
    expect(text("rollback-hint")).toBe("no snapshot yet");
    expect(find("btn-rollback")?.title).toBe("No healthy snapshot to go back to yet.");
  });

  it("is not offered by a run that does not allow it, nor done without the scope", async () => {
    await show(<RunControls run={{ ...RUN, snapshotStep: 400 }} />);
    expect([find("btn-rollback"), find("btn-instrument")]).toEqual([null, null]);
    await dispatch({ type: "access", scopes: ["view"] });
    await show(<RunControls run={{ ...able, controls: ["rollback", "instrument"] }} />);
    expect([isDisabled("btn-rollback"), isDisabled("btn-instrument")]).toEqual([true, true]);
    expect(root.textContent).toContain("View only");
  });
});

describe("full detail", () => {
  const able = { ...RUN, controls: ["instrument"], step: 100 };

  it("says until when before it is asked for, and asks for as many steps as were typed", async () => {
    await show(<RunControls run={able} />);
    expect(text("detail-hint")).toContain("until about step 300");
    await type("instrument-steps", "50");
    expect(text("detail-hint")).toContain("until about step 150");
    await press("btn-instrument");
    expect(command).toHaveBeenCalledExactlyOnceWith("instrument", { steps: 50 });
  });

  it.each(["0", "-1", "100001", "1.5", "1e3", "", "many"])("is refused for %s steps", async (typed) => {
    await show(<RunControls run={able} />);
    await type("instrument-steps", typed);
    expect(isDisabled("btn-instrument")).toBe(true);
    expect(text("detail-hint")).toBe("1 to 100 000 steps");
  });

  it("is offered without a rollback to a run that allows only this", async () => {
    await show(<RunControls run={able} />);
    expect([find("btn-instrument") !== null, find("btn-rollback")]).toEqual([true, null]);
  });

  it("says so while it lasts", async () => {
    await show(<RunControls run={{ ...able, detailUntil: 180 }} />);
    expect(text("detail-hint")).toBe("full detail until step 180");
    await show(<RunControls run={{ ...able, step: 181, detailUntil: 180 }} />);
    expect(text("detail-hint")).toContain("until about step 381");
  });
});

describe("the guard among the vital signs", () => {
  const guarded = runOf({ guard: { modes: ["trip"], on_trip: "pause", notes: ["AdamW is not fused"] }, trips: 0 });

  it("is one word, with the rest in its title, and counts its trips", async () => {
    await show(<Vitals run={{ ...RUN, guard: guarded.guard, trips: 2 }} />);
    expect(text("vital-guard")).toBe("trip 2 trips");
    const title = find("vital-guard")?.querySelector("[title]")?.getAttribute("title") ?? "";
    expect(title).toContain("the run pauses");
    expect(title).toContain("AdamW is not fused");
  });

  it("does not count what did not happen", async () => {
    await show(<Vitals run={{ ...RUN, guard: guarded.guard }} />);
    expect([text("vital-guard"), find("vital-trips")]).toEqual(["trip", null]);
  });

  it("of an older trainer is not there, and takes no room", async () => {
    await show(<Vitals run={RUN} />);
    expect([find("vital-guard"), root.querySelector(".vitals-guarded")]).toEqual([null, null]);
    expect(state.value.selected).toBe("r");
  });
});
