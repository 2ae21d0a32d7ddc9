// @vitest-environment happy-dom
import { act } from "preact/test-utils";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Given, Order } from "../../lib/control";
import type { Ground } from "../../lib/deeds";
import { commandOf, runOf } from "../../lib/models";
import { scheduleOf } from "../../lib/schedule";
import { whatIfOf } from "../../lib/whatIf";
import { NASTY, RUN, control, dispatch, find, isDisabled, press, root, show, type, useWorld } from "../testWorld";
import { RunControls } from "../RunControls";
import { Vitals } from "../Vitals";
import { OptimizerPanel } from "./OptimizerPanel";
import { RanksPanel } from "./RanksPanel";
import { StagePanel } from "./StagePanel";
import { WeightControl } from "./WeightControl";

useWorld();

const GROUND: Ground = { step: 600, position: 600, stage: "warmup", isHeld: false };
const ALL = { ...RUN, step: 600, controls: ["set_weight", "gate", "hold_stage", "release_stage", "go_to_stage"] };
const give = vi.fn<(order: Order) => Promise<Given>>();

beforeEach(() => {
  give.mockReset().mockResolvedValue({ kind: "taken", command: "c" });
  control.give = give;
});

const said = (testid: string): string => find(testid)?.textContent ?? "";
const sent = (): Order[] => give.mock.calls.map(([order]) => order);
const bob = (number: number, kind = "set_weight"): ReturnType<typeof commandOf> =>
  commandOf({
    id: `b${number}`,
    run: "r",
    number,
    kind,
    state: "applied",
    step: 590,
    actor: "bob",
    args: { component: "ce", value: 0.5 },
    old: 1,
    new: 0.5,
    history: [{ state: "applied" }],
  });

function weight(isGated = false): preact.ComponentChildren {
  const precursor = ALL.components[1];
  return (
    precursor && (
      <WeightControl run={ALL} component={precursor} index={1} isAllowed canGate isGated={isGated} ground={GROUND} />
    )
  );
}

describe("a weight", () => {
  it("previews share and total at once, and sends what was typed", async () => {
    await show(weight());
    await type("weight-input-precursor", "1e-3");
    expect(root.textContent).toContain("0.01 → 0.001: share 76 % → 24 %, total 9.2 → 2.9");
    await press("weight-apply-precursor");
    expect(sent()).toEqual([{ run: "r", kind: "set_weight", args: { component: "precursor", value: 0.001 }, seen: 0 }]);
  });

  it.each(["7", "-1", "NaN", ""])("outside of its bounds cannot be applied: %s", async (typed) => {
    await show(weight());
    await type("weight-input-precursor", typed);
    expect(isDisabled("weight-apply-precursor")).toBe(true);
  });

  it("goes over a ramp and for a while, and says so before it is sent", async () => {
    await show(weight());
    await type("weight-input-precursor", "1e-3");
    await type("ramp-precursor", "200");
    await type("lease-precursor", "500");
    expect(root.textContent).toContain("weight 0.001, evenly over 200 steps, for 500 steps, to about step 1\u2009100");
    await press("weight-apply-precursor");
    expect(sent()[0]?.args).toEqual({ component: "precursor", value: 0.001, ramp_steps: 200, lease_steps: 500 });
  });

  it("cannot be sent with terms that are no numbers of steps", async () => {
    await show(weight());
    await type("weight-input-precursor", "1e-3");
    await type("lease-precursor", "1.5");
    expect(isDisabled("weight-apply-precursor")).toBe(true);
  });

  it("follows the run again once the command that was sent here is applied, and says at which step", async () => {
    await show(weight());
    await type("weight-input-precursor", "1e-3");
    await press("weight-apply-precursor");
    const own = { id: "c", run: "r", number: 4, kind: "set_weight", args: { component: "precursor" } };
    await dispatch({ type: "command", command: commandOf({ ...own, state: "received", history: [{}] }) });
    expect(root.textContent).toContain("in the trainer; takes effect at the next step");
    const applied = { ...own, state: "applied", step: 612, old: 0.01, new: 0.001, ranks: 4, history: [{}, {}] };
    await dispatch({ type: "command", command: commandOf(applied) });
    expect(find("weight-input-precursor")).toMatchObject({ value: "0.01" });
    expect(said("outcome-weight-precursor")).toContain("applied at step 612 on 4 ranks: 0.01 → 0.001");
  });

  it("keeps a person's choice when somebody else moves the same weight", async () => {
    await show(weight());
    await type("weight-input-precursor", "1e-3");
    await dispatch({ type: "command", command: bob(4) });
    expect(find("weight-input-precursor")).toMatchObject({ value: "1e-3" });
  });

  it("is sent with the version that was on the screen when the person began", async () => {
    await dispatch({ type: "command", command: bob(4) });
    await show(weight());
    await type("weight-input-precursor", "1e-3");
    await dispatch({ type: "command", command: bob(7) });
    await type("weight-input-precursor", "2e-3");
    await press("weight-apply-precursor");
    expect(sent()[0]?.seen).toBe(4);
  });

  it("shows what others changed since, and goes at the second press", async () => {
    give.mockResolvedValueOnce({ kind: "conflict", changed: [bob(7)], why: "changed", version: 7 });
    await show(weight());
    await type("weight-input-precursor", "1e-3");
    await press("weight-apply-precursor");
    expect(said("outcome-weight-precursor")).toContain("#7 ce weight 1 → 0.5 · bob · applied at step 590");
    expect(find("weight-input-precursor")).toMatchObject({ value: "1e-3" });
    await press("weight-apply-precursor");
    expect(sent().map(({ seen }) => seen)).toEqual([0, 7]);
  });

  it("says the refusal", async () => {
    give.mockResolvedValueOnce({ kind: "refused", why: NASTY });
    await show(weight());
    await type("weight-input-precursor", "1e-3");
    await press("weight-apply-precursor");
    expect([said("outcome-weight-precursor"), root.querySelector("img")]).toEqual([`Not sent: ${NASTY}`, null]);
  });

  it("is gated only after it was said what that does", async () => {
    await show(weight());
    await press("gate-precursor");
    expect(give).not.toHaveBeenCalled();
    expect(said("proposal-gate-precursor")).toContain("precursor has weight 0 and is left out of the graph");
    await type("lease-gate-precursor", "50");
    await press("send-gate-precursor");
    expect(sent()[0]).toMatchObject({ kind: "gate", args: { component: "precursor", open: false, lease_steps: 50 } });
  });

  it("that is gated off says so and can take part again", async () => {
    await show(weight(true));
    expect([said("gate-precursor"), root.textContent.includes("gated off")]).toEqual(["off", true]);
    await press("gate-precursor");
    await press("send-gate-precursor");
    expect(sent()[0]?.args).toEqual({ component: "precursor", open: true });
  });
});

describe("the what-if beside a slider", () => {
  const answer = whatIfOf({
    from: 101,
    to: 600,
    steps: [101, 600],
    total: { before: [9, 9.2], after: [3, 2.9] },
    share: { precursor: { before: 0.7, after: 0.2 } },
    now: { step: 600, total: { before: 9.2, after: 2.9 }, share: { precursor: { before: 0.76, after: 0.24 } } },
    text: "Computed from the losses as they were.",
  });
  const whatIf = vi.fn(() => Promise.resolve({ ok: true as const, value: answer }));

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    control.whatIf = whatIf;
    whatIf.mockClear();
    return () => vi.useRealTimers();
  });
  const wait = (ms: number): Promise<void> => act(() => vi.advanceTimersByTimeAsync(ms) as unknown as Promise<void>);

  it("is asked once the value stands still, and says from which steps it is", async () => {
    await show(weight());
    for (const typed of ["1e-3", "2e-3", "3e-3"]) await type("weight-input-precursor", typed);
    await wait(140);
    expect(whatIf).not.toHaveBeenCalled();
    await wait(20);
    expect(whatIf).toHaveBeenCalledOnce();
    expect(whatIf.mock.calls[0]?.slice(0, 3)).toEqual(["r", "set_weight", { component: "precursor", value: 0.003 }]);
    const text = said("what-if-precursor");
    expect(text).toContain("0.01 → 0.003: share 76 % → 24 %, total 9.2 → 2.9");
    expect(text).toContain("Computed from steps 101 to 600; median share 70 % → 20 %.");
    expect(root.querySelectorAll(".what-if-lines path")).toHaveLength(2);
  });

  it("gives up an answer that nobody waits for any more", async () => {
    const signals: AbortSignal[] = [];
    control.whatIf = (_, __, ___, signal) => {
      signals.push(signal);
      return new Promise(() => undefined);
    };
    await show(weight());
    await type("weight-input-precursor", "1e-3");
    await wait(200);
    await type("weight-input-precursor", "2e-3");
    expect([signals.length, signals[0]?.aborted, find("what-if-precursor")?.dataset["state"]]).toEqual([
      1,
      true,
      "asked",
    ]);
  });

  it("says why there is none", async () => {
    control.whatIf = () => Promise.resolve({ ok: false, fault: "out of bounds" });
    await show(weight());
    await type("weight-input-precursor", "1e-3");
    await wait(200);
    expect(said("what-if-precursor")).toContain("out of bounds");
  });
});

describe("the stages", () => {
  const stages = [
    { name: "warmup", start: 0, begins_at: null },
    { name: NASTY, start: 900, begins_at: 900 },
  ];
  const schedule = (over: object = {}): ReturnType<typeof scheduleOf> =>
    scheduleOf({ version: 3, position: 600, held: null, stages, weights: {}, changes: [900], operations: [], ...over });
  const panel = (over: object = {}, run = ALL): preact.ComponentChildren => (
    <StagePanel run={run} schedule={schedule(over)} fault={null} ground={GROUND} isAllowed />
  );

  it("say where the clock is and when each will begin", async () => {
    await show(panel());
    expect(root.textContent).toContain("clock at 600");
    const rows = [...root.querySelectorAll("[data-testid=stage-row]")].map((row) => row.querySelector(".stage-when"));
    expect(rows.map((row) => row?.textContent)).toEqual(["now", "at step 900"]);
    expect(root.querySelector("img")).toBeNull();
    expect(said("schedule")).toContain(`900 stage ${NASTY} begins`);
  });

  it("of a run that is over do not go on", async () => {
    await show(panel({}, { ...ALL, state: "finished" }));
    expect(root.textContent).toContain("The run is over.");
    expect(root.textContent).not.toContain("goes on");
  });

  it("are held after it was said what that does, for a while if so wished", async () => {
    await show(panel());
    await press("btn-hold");
    expect(said("proposal-stage")).toContain("clock stops at 600 in stage warmup");
    expect(said("proposal-stage")).toContain("until it is released");
    await type("lease-stage", "100");
    await press("send-stage");
    expect(sent()[0]).toMatchObject({ kind: "hold_stage", args: { lease_steps: 100 } });
  });

  it("that are held say so plainly, and can be released", async () => {
    await show(panel({ held: { since: 600, until: 800 }, stages: [stages[0], { ...stages[1], begins_at: 1100 }] }));
    expect(said("held")).toContain("held since step 600 until step 800");
    expect(find("btn-hold")).toBeNull();
    await press("btn-release");
    await press("send-stage");
    expect(sent()[0]).toMatchObject({ kind: "release_stage", args: {} });
  });

  it("can be gone to by name", async () => {
    await show(panel());
    await press(`go-to-${NASTY}`);
    await press("send-stage");
    expect(sent()[0]?.args).toEqual({ stage: NASTY });
  });

  it("that the script does not let be moved say so", async () => {
    await show(panel({}, { ...ALL, controls: ["release_stage"] }));
    expect(root.textContent).toContain("does not allow: hold stage, go to stage");
    expect([isDisabled("btn-hold"), isDisabled("go-to-warmup")]).toEqual([true, true]);
  });
});

describe("the optimizer", () => {
  const panel = (controls: readonly string[]): preact.ComponentChildren => (
    <OptimizerPanel run={{ ...ALL, controls }} schedule={null} ground={GROUND} isAllowed />
  );

  it("is not there where the script allows none of it", async () => {
    await show(panel(["pause"]));
    expect(root.textContent).toBe("");
  });

  it("multiplies learning rates within the script's bounds, for a while", async () => {
    await show(panel(["set_lr_scale"]));
    await type("input-lr-scale", "11");
    expect(root.textContent).toContain("allowed: 0 to 10");
    await type("input-lr-scale", "0.5");
    expect(said("proposal-lr-scale")).toContain("every learning rate is multiplied by 0.5");
    await type("lease-lr-scale", "30");
    await press("send-lr-scale");
    expect(sent()[0]).toMatchObject({ kind: "set_lr_scale", args: { value: 0.5, lease_steps: 30 } });
    expect(find("input-clip")).toBeNull();
  });

  it("writes a checkpoint at the second press", async () => {
    await show(<RunControls run={{ ...RUN, controls: ["checkpoint"] }} />);
    await press("btn-checkpoint");
    expect(give).not.toHaveBeenCalled();
    await press("send-checkpoint");
    expect(sent()[0]).toMatchObject({ kind: "checkpoint", args: {} });
  });
});

it("ranks are named: the straggler, and the first that was bad", async () => {
  const { ranks } = runOf({
    ranks: [
      { rank: 0, step: 9, step_time_s: 0.02, is_straggler: false, first_bad_step: 8 },
      { rank: 1, step: 9, step_time_s: 0.05, is_straggler: true, first_bad_step: null },
      { rank: 2, step: 9, step_time_s: 0.02, is_straggler: false, first_bad_step: 7 },
    ],
  });
  await show(<RanksPanel ranks={ranks} />);
  expect(root.textContent).not.toContain("charts show rank 0");
  expect(said("straggler")).toContain("rank 1 is a straggler: 50 ms a step, 2.5 times the median");
  expect(said("ranks-not-finite")).toContain("rank 2: not finite since step 7");
  expect([0, 1, 2].map((rank) => said(`rank-${rank}`).includes("←"))).toEqual([true, true, true]);
});

it("a rank that no chart shows is told among the vital signs", async () => {
  const { ranks } = runOf({ ranks: [{ rank: 0 }, { rank: 1, first_bad_step: 30 }] });
  await show(<Vitals run={{ ...RUN, ranks }} />);
  expect(said("vital-not-finite")).toContain("rank 1: not finite since step 30");
  expect(said("vital-not-finite")).toContain("charts show rank 0");
  await show(<Vitals run={RUN} />);
  expect(find("vital-not-finite")).toBeNull();
});

describe("by keyboard", () => {
  it("Escape forgets what was typed or proposed, Enter on the slider applies", async () => {
    const key = (testid: string, name: string): Promise<void> =>
      act(() => void find(testid)?.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true })));
    await show(<RunControls run={{ ...RUN, controls: ["checkpoint"] }} />);
    await press("btn-checkpoint");
    await key("send-checkpoint", "Escape");
    expect(find("proposal-checkpoint")).toBeNull();
    await show(weight());
    await type("weight-slider-precursor", "500");
    await key("weight-slider-precursor", "Escape");
    expect(isDisabled("weight-apply-precursor")).toBe(true);
    await type("weight-slider-precursor", "500");
    await key("weight-slider-precursor", "Enter");
    expect(sent()[0]).toMatchObject({ kind: "set_weight" });
  });
});
