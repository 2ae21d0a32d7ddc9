// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { alertOf, commandOf, eventOf, runOf } from "../lib/models";
import { AlertCard } from "./AlertCard";
import { CommandLife } from "./CommandLife";
import { CommandList } from "./CommandList";
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
    expect(command).toHaveBeenCalledExactlyOnceWith("rollback", { before_step: 401 });
    expect(find("rollback-text")).toBeNull();
  });

  it("keeps to the step it promised while newer snapshots come", async () => {
    await show(<RunControls run={able} />);
    await press("btn-rollback");
    await show(<RunControls run={{ ...able, snapshotStep: 500, step: 530 }} />);
    expect(text("rollback-text")).toContain("to step 400");
    expect(text("rollback-text")).toContain("Steps 400 to 512 will");
    expect(text("btn-rollback-confirm")).toBe("Roll back to step 400");
    await press("btn-rollback-confirm");
    expect(command).toHaveBeenCalledExactlyOnceWith("rollback", { before_step: 401 });
  });

  it("shows why the server refused", async () => {
    command.mockResolvedValueOnce("A rollback is under way already. Wait until it is applied.");
    await show(<RunControls run={able} />);
    await press("btn-rollback");
    await press("btn-rollback-confirm");
    expect(root.querySelector(".fault")?.textContent).toContain("A rollback is under way already.");
  });

  it("promises nothing of a run that is over", async () => {
    await show(<RunControls run={{ ...able, state: "finished", controls: ["rollback", "instrument"] }} />);
    expect([text("rollback-hint"), text("detail-hint")]).toEqual(["", ""]);
    expect(find("btn-instrument")?.title).not.toContain("until");
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

describe("an alert whose rule asked for full detail", () => {
  const alert = alertOf({ id: "a", run: "r", rule: "nonfinite", state: "firing", remedy: { kind: "pause", text: "Pause." } });
  const reflex = { id: "c", run: "r", number: 1, kind: "instrument", alert: "a", actor: "rule:nonfinite", new: 264 };
  const applied = { state: "applied", step: 165, args: { steps: 100 } };

  it("keeps its remedy, and says what the rule did in a line", async () => {
    await dispatch({ type: "command", command: commandOf({ ...reflex, ...applied }) });
    await show(<AlertCard alert={alert} run={RUN} />);
    expect([find("alert-remedy") !== null, text("alert-reflex")]).toEqual([true, "full detail until step 264"]);
    expect(root.querySelector(".life")).toBeNull();
  });

  it("is answered by a person's command", async () => {
    await dispatch({ type: "command", command: commandOf({ ...reflex, ...applied, kind: "pause", actor: "admin" }) });
    await show(<AlertCard alert={alert} run={RUN} />);
    expect([find("alert-remedy"), find("alert-reflex")]).toEqual([null, null]);
  });

  it("offers to resume while the run is paused", async () => {
    await show(<AlertCard alert={alert} run={{ ...RUN, state: "paused" }} />);
    expect(find("alert-remedy")).toBeNull();
    await press("alert-resume");
    expect(command).toHaveBeenCalledExactlyOnceWith("resume", {});
  });
});

it("an alert that a rollback undid says so", async () => {
  const over = { id: "a", run: "r", state: "resolved", step: 90, resolved_step: 95 };
  await show(<AlertCard alert={alertOf({ ...over, evidence: { rolled_back_to: 60 } })} run={RUN} />);
  expect(root.querySelector(".alert-since")?.textContent).toBe("warning, since step 90, undone by a rollback to step 60");
  expect(root.querySelectorAll(".facts dt")).toHaveLength(0);
});

describe("a run that is paused", () => {
  const paused = { ...RUN, state: "paused", step: 256, controls: ["pause", "resume", "rollback"] } as const;
  const event = (kind: string, step: number, data: object): Parameters<typeof dispatch>[0] => ({
    type: "event",
    run: "r",
    event: eventOf({ kind, step, time_s: step, data }),
  });
  const held = event("error", 256, { where: "pause", message: "paused: loss/aux is not finite" });

  it("has Resume as its main button", async () => {
    await show(<RunControls run={paused} />);
    expect(find("btn-resume")?.className).toContain("button-main");
    expect([find("btn-rollback") !== null, find("paused-by")]).toEqual([true, null]);
  });

  it("says that the guard did it", async () => {
    await dispatch(held);
    await show(<RunControls run={paused} />);
    expect(text("paused-by")).toBe("paused by the guard after step 255");
    await show(<RunControls run={{ ...paused, state: "running" }} />);
    expect(find("paused-by")).toBeNull();
  });

  it("says so after a trip where the guard pauses on trips", async () => {
    const guard = { modes: ["trip"], onTrip: "pause", notes: [] };
    await dispatch(event("trip", 255, { action: "skipped" }));
    await show(<RunControls run={{ ...paused, guard }} />);
    expect(text("paused-by")).toBe("paused by the guard after step 255");
    await show(<RunControls run={{ ...paused, guard: { ...guard, onTrip: "skip" } }} />);
    expect(find("paused-by")).toBeNull();
  });

  it("says nothing of the guard when a person paused it since", async () => {
    const by = { id: "p", run: "r", kind: "pause", state: "applied", step: 300, actor: "admin" };
    await dispatch(held, { type: "command", command: commandOf(by) });
    await show(<RunControls run={{ ...paused, step: 300 }} />);
    expect(find("paused-by")).toBeNull();
  });
});

describe("what commands brought about", () => {
  const row = async (raw: object): Promise<string> => {
    const command = commandOf({ id: "c", run: "r", number: 1, state: "applied", actor: "admin", ...raw });
    await dispatch({ type: "command", command });
    await show(
      <>
        <CommandList run={RUN} canCommand />
        <CommandLife command={command} />
      </>,
    );
    const said = (found: string): string => root.querySelector(found)?.textContent ?? "";
    return `${said(".command-result")} | ${said(".life-result")}`;
  };

  it("is said of a rollback and of full detail", async () => {
    expect(await row({ kind: "rollback", step: 400, old: 467, new: 400 })).toBe(
      "from step 467 to 400 · admin | applied: from step 467 to 400",
    );
    expect(await row({ kind: "instrument", step: 374, args: { steps: 200 }, new: 573 })).toBe(
      "at step 374, full detail until step 573 · admin | applied at step 374: full detail until step 573",
    );
  });
});

describe("the guard among the vital signs", () => {
  const guarded = runOf({ guard: { modes: ["trip"], on_trip: "pause", notes: ["AdamW is not fused"] }, trips: 0 });

  it("is one word, with the rest in its title, and counts its trips", async () => {
    await show(<Vitals run={{ ...RUN, guard: guarded.guard, trips: 2 }} />);
    expect(text("vital-guard")).toBe("2 trips");
    const title = find("vital-guard")?.querySelector("[title]")?.getAttribute("title") ?? "";
    expect(title).toContain("the run pauses");
    expect(title).toContain("AdamW is not fused");
  });

  it("does not count what did not happen", async () => {
    await show(<Vitals run={{ ...RUN, guard: guarded.guard }} />);
    expect([text("vital-guard"), find("vital-trips")]).toEqual(["on", null]);
  });

  it("of an older trainer is not there, and takes no room", async () => {
    await show(<Vitals run={RUN} />);
    expect([find("vital-guard"), root.querySelector(".vitals-guarded")]).toEqual([null, null]);
    expect(state.value.selected).toBe("r");
  });
});
