import { expect, it } from "vitest";
import type { Answer } from "../../lib/answer";
import type { Fields } from "../../lib/decode";
import { type PoliciesDesk, type PoliciesView, lineOf, draftOf, policiesViewOf } from "../../lib/policies";
import { PoliciesBoard } from "./policies";

/** A server that keeps what is set, and answers when it is told to. */
class Desk implements PoliciesDesk {
  stored: Record<string, Readonly<Record<string, Fields>>> = {};
  held: (() => void)[] = [];
  isHolding = false;

  readonly view: PoliciesDesk["view"] = async (place) => {
    const said = this.answer(place.kind);
    if (this.isHolding) await new Promise<void>((go) => this.held.push(go));
    return said;
  };

  readonly set: PoliciesDesk["set"] = (place, own) => {
    this.stored[place.kind] = own;
    return Promise.resolve(this.answer(place.kind));
  };

  private answer(kind: string): Answer<PoliciesView> {
    const own = this.stored[kind] ?? {};
    const policies = Object.fromEntries(Object.entries(own).map(([rule, said]) => [rule, { ...said, set_by: kind }]));
    return { ok: true, value: policiesViewOf({ own, policies, ignored: [] }) };
  }
}

async function opened(desk: PoliciesDesk): Promise<PoliciesBoard> {
  const board = new PoliciesBoard(desk, "r", "p");
  await board.load("run");
  return board;
}

function write(board: PoliciesBoard, rule: string): void {
  const view = board.views.value.run;
  if (view === null) throw new Error("nothing is loaded");
  board.edit(draftOf(lineOf(view, rule)));
}

const PAUSE = { do: "pause", budget: 1, severity: "critical", pause_s: 600 };

it("sets the form's policy, and keeps what somebody else set meanwhile", async () => {
  const desk = new Desk();
  const board = await opened(desk);
  write(board, "drift");
  desk.stored["run"] = { bound: { do: "off" } };
  await board.set("run", "done");
  expect(desk.stored["run"]).toEqual({ bound: { do: "off" }, drift: PAUSE });
  expect([board.draft.value, board.said.value, board.fault.value]).toEqual([null, "done", null]);
  expect(board.views.value.run?.policies["drift"]?.setBy).toBe("run");
});

it("an answer that was read before the change does not undo it on the screen", async () => {
  const desk = new Desk();
  const board = await opened(desk);
  write(board, "drift");
  desk.isHolding = true;
  const late = board.load("run");
  desk.isHolding = false;
  await board.set("run", "done");
  for (const go of desk.held) go();
  await late;
  expect(board.views.value.run?.own).toEqual({ drift: PAUSE });
});

it("what is written while it is being set stays in the form", async () => {
  const board = await opened(new Desk());
  write(board, "drift");
  const setting = board.set("run", "done");
  write(board, "bound");
  await setting;
  expect(board.draft.value?.rule).toBe("bound");
});

it("a refusal keeps the form, and is said", async () => {
  const desk = new Desk();
  const board = await opened({ view: desk.view, set: () => Promise.resolve({ ok: false, fault: "The disk is full." }) });
  write(board, "drift");
  await board.set("run", "done");
  expect([board.draft.value?.rule, board.said.value, board.fault.value]).toEqual(["drift", null, "The disk is full."]);
});
