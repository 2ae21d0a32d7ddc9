// @vitest-environment happy-dom
import { expect, it, vi } from "vitest";
import { commandOf } from "../../lib/models";
import { CommandLife } from "../CommandLife";
import { CommandList } from "../CommandList";
import { NASTY, RUN, command, control, dispatch, find, press, root, show, useWorld } from "../testWorld";

useWorld();

const all = { ...RUN, step: 700, controls: ["set_weight", "revert"] };
const base = { id: "c", run: "r", number: 4, kind: "set_weight", args: { component: "x", value: 1 }, history: [{}] };
const list = <CommandList run={all} canCommand />;

it("what is queued can be cancelled, and what is sent cannot", async () => {
  const cancel = vi.fn(() => Promise.resolve("It was sent already."));
  control.cancel = cancel;
  await dispatch({ type: "command", command: commandOf({ ...base, state: "queued" }) });
  await show(list);
  await press("cancel-c");
  expect(cancel).toHaveBeenCalledExactlyOnceWith("c");
  expect(root.textContent).toContain("It was sent already.");
  await dispatch({ type: "command", command: commandOf({ ...base, state: "sent", history: [{}, {}] }) });
  expect(find("cancel-c")).toBeNull();
});

it("is not offered to a person who may only look", async () => {
  await dispatch(
    { type: "access", scopes: ["view"] },
    { type: "command", command: commandOf({ ...base, state: "queued" }) },
  );
  await show(<CommandList run={all} canCommand={false} />);
  expect(find("cancel-c")).toBeNull();
});

it("a verdict stands with its sentence and numbers; what made things worse is taken back with one press", async () => {
  const effect = { verdict: "worse", at_step: 600, steps: 50, text: NASTY, numbers: { total: [2, 9] } };
  const applied = { ...base, state: "applied", step: 600, old: 2, new: 1, effect };
  await dispatch({ type: "command", command: commandOf(applied) });
  await show(list);
  const said = find("effect")?.textContent ?? "";
  expect([find("effect")?.dataset["verdict"], root.querySelector("img")]).toEqual(["worse", null]);
  for (const part of ["✗ worse", "by step 650", NASTY, "total 2 → 9"]) expect(said).toContain(part);
  expect(find("revert-c")?.className).toContain("button-main");
  await press("revert-c");
  expect(command).toHaveBeenCalledExactlyOnceWith("revert", { command: "c" });
});

it("a row says on how many ranks, and when it ends by itself", async () => {
  const applied = {
    ...base,
    state: "applied",
    step: 600,
    old: 2,
    new: 1,
    ranks: 4,
    args: { ...base.args, lease_steps: 200 },
  };
  await dispatch({ type: "command", command: commandOf(applied) });
  await show(list);
  expect(root.textContent).toContain("at step 600 on 4 ranks; ends at step 800");
});

it("a second press before the answer takes nothing back twice", async () => {
  let answer = (): void => undefined;
  command.mockImplementationOnce(() => new Promise((go) => (answer = () => go(null))));
  await dispatch({ type: "command", command: commandOf({ ...base, state: "applied", step: 600, old: 2, new: 1 }) });
  await show(list);
  await press("revert-c");
  await press("revert-c");
  expect(command).toHaveBeenCalledOnce();
  answer();
});

it("what a policy gave says so, and how much of its budget is left", async () => {
  const reason = "The policy for drift (set by: run) does pause when it fires; 1 of 2 left.";
  await show(<CommandLife command={commandOf({ ...base, state: "sent", actor: "policy:drift", reason })} />);
  expect(find("by-policy")?.textContent).toBe(`By itself: ${reason}`);
  await show(<CommandLife command={commandOf({ ...base, state: "sent", actor: "admin", reason })} />);
  expect(find("by-policy")).toBeNull();
});
