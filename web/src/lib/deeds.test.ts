import { describe, expect, it } from "vitest";
import { canBeReverted, commandText, gatedBy, leaseEndOf, promiseText, rampEndOf, resultOf } from "./deeds";
import { type Command, commandOf } from "./models";

const GROUND = { step: 600, position: 431, stage: "warmup", isHeld: false };

function applied(id: string, kind: string, args: object, more: object = {}): Command {
  return commandOf({ id, kind, args, state: "applied", step: 100, number: Number(id.slice(1)), ...more });
}

describe("a command says what it does, and then what it did", () => {
  it.each([
    [{ kind: "set_weight", args: { component: "x", value: 0.5 } }, "set x weight to 0.5"],
    [{ kind: "set_weight", args: { component: "x", value: 0.5 }, old: 1, new: 0.5 }, "x weight 1 → 0.5"],
    [{ kind: "scale_weights", args: { factor: 0.5 } }, "all weights × 0.5"],
    [{ kind: "scale_weights", args: { factor: 2, components: ["a", "b"] } }, "weights of a, b × 2"],
    [
      { kind: "gate", args: { component: "x", open: false, lease_steps: 50 } },
      "x gated off, for 50 steps; then it ends by itself",
    ],
    [{ kind: "go_to_stage", args: { stage: "full" } }, "go to stage full"],
    [{ kind: "set_lr_scale", args: { value: 0.1 } }, "learning rates × 0.1"],
    [{ kind: "pause" }, "pause"],
  ])("%j", (command, said) => expect(commandText(commandOf(command))).toBe(said));

  it("with old and new in whatever form they are told", () => {
    const moved = { weights: { a: 1, b: 2 }, is_held: false };
    const command = applied("c1", "scale_weights", { factor: 2 }, { old: moved, new: { ...moved, is_held: true } });
    expect(resultOf(command)).toBe("applied at step 100: is held no → yes");
    expect(resultOf(applied("c1", "go_to_stage", {}, { old: "a", new: "b", ranks: 4 }))).toBe(
      "applied at step 100 on 4 ranks: a → b",
    );
    expect(resultOf(applied("c1", "set_weight", {}, { old: 1, new: "NaN" }))).toBe("applied at step 100: 1 → NaN");
  });

  it("or why it came to nothing", () =>
    expect(resultOf(commandOf({ state: "rejected", refusal: "not allowed" }))).toBe("rejected: not allowed"));
});

describe("a promise", () => {
  it("of a hold says for how long", () => {
    expect(promiseText("hold_stage", {}, GROUND)).toContain("stops at 431 in stage warmup");
    expect(promiseText("hold_stage", {}, GROUND)).toContain("until it is released");
    const leased = promiseText("hold_stage", { lease_steps: 100 }, GROUND);
    expect(leased).toContain("for 100 steps, to about step 700; then it goes on by itself");
    expect(leased).not.toContain("until it is released");
  });

  it("of a move says that a held clock stays held", () =>
    expect(promiseText("go_to_stage", { stage: "b" }, { ...GROUND, isHeld: true })).toContain("is still held there"));
});

it("a lease and a ramp end so many steps after they began", () => {
  const command = applied("c1", "set_weight", { lease_steps: 50, ramp_steps: 20 });
  expect([leaseEndOf(command), rampEndOf(command)]).toEqual([150, 120]);
  expect(leaseEndOf(commandOf({ args: { lease_steps: 50 } }))).toBeNull();
});

describe("taking back", () => {
  const set = applied("c1", "set_weight", { component: "x", value: 1 });
  const revert = (id: string, of: string, state = "applied"): Command =>
    commandOf({ id, kind: "revert", args: { command: of }, state, step: 120 });

  it("is for what is in force", () => {
    expect(canBeReverted(set, [set], 200)).toBe(true);
    expect(canBeReverted(applied("c1", "pause", {}), [], 200)).toBe(false);
    expect(canBeReverted(commandOf({ kind: "set_weight", state: "rejected" }), [], 200)).toBe(false);
  });

  it("is not for a lease that is over", () => {
    const leased = applied("c1", "set_weight", { lease_steps: 50 });
    expect([canBeReverted(leased, [leased], 149), canBeReverted(leased, [leased], 150)]).toEqual([true, false]);
  });

  it("is of the latest of a command and its reverts", () => {
    const back = revert("c2", "c1");
    expect([canBeReverted(set, [set, back], 200), canBeReverted(back, [set, back], 200)]).toEqual([false, true]);
    expect(canBeReverted(set, [set, revert("c2", "c1", "sent")], 200)).toBe(false);
    expect(canBeReverted(set, [set, revert("c2", "c1", "rejected")], 200)).toBe(true);
  });
});

it("the newest gate that is in force says whether a component takes part", () => {
  const off = applied("c1", "gate", { component: "x", open: false });
  const on = applied("c2", "gate", { component: "x", open: true });
  const back = commandOf({ id: "c3", kind: "revert", args: { command: "c2" }, state: "applied", step: 130 });
  expect([gatedBy([off], "x", 200), gatedBy([off], "y", 200)]).toEqual([true, false]);
  expect([gatedBy([on, off], "x", 200), gatedBy([back, on, off], "x", 200)]).toEqual([false, true]);
  const leased = applied("c1", "gate", { component: "x", open: false, lease_steps: 20 });
  expect([gatedBy([leased], "x", 119), gatedBy([leased], "x", 120)]).toEqual([true, false]);
});
