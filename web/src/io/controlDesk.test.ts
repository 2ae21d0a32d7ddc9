import { expect, it, vi } from "vitest";
import { commandOf } from "../lib/models";
import { type Action, INITIAL, type State, reduce } from "../lib/state";
import { Refused } from "./api";
import { HttpControlDesk } from "./controlDesk";

const command = (number: number, more: object = {}): object => ({
  id: `c${number}`,
  run: "r",
  number,
  kind: "set_weight",
  state: "queued",
  history: [{ state: "queued" }],
  ...more,
});

/** A desk at a run "r" whose commands the page knows, before a server that answers as told. */
function desk(
  known: readonly object[],
  post: (path: string, body?: object) => unknown,
  listed: readonly object[] = [],
) {
  let state: State = { ...INITIAL, selected: "r" };
  const dispatch = (action: Action): void => void (state = reduce(state, action));
  for (const each of known) dispatch({ type: "command", command: commandOf(each) });
  const asked = vi.fn(post);
  const api = {
    post: (path: string, body?: object) => Promise.resolve().then(() => asked(path, body)),
    get: () => Promise.resolve({ items: listed }),
    getText: () => Promise.resolve("{}"),
  };
  return { desk: new HttpControlDesk({ api, state: () => state, dispatch }), asked, state: () => state };
}

const ORDER = { run: "r", kind: "gate", args: { component: "x", open: false } };
const conflict = new Refused(409, "version_conflict", "Command 7 came since.", "");

it("sends an order with a key of its own and what was seen, and knows the command at once", async () => {
  const world = desk([command(3)], () => command(4));
  expect(await world.desk.give({ ...ORDER, seen: 3 })).toEqual({ kind: "taken", command: "c4" });
  const [path, body] = world.asked.mock.calls[0] ?? [];
  expect(path).toBe("api/runs/r/commands");
  expect(body).toMatchObject({ kind: "gate", args: ORDER.args, expect_version: 3 });
  expect(world.state().detail.commands["c4"]?.state).toBe("queued");
});

it("what it sent itself is no conflict to who sits here", async () => {
  let number = 3;
  const world = desk([command(3)], () => command((number += 1)));
  await world.desk.give({ ...ORDER, seen: 3 });
  await world.desk.give({ ...ORDER, seen: 3 });
  expect(world.asked.mock.calls[1]?.[1]).toMatchObject({ expect_version: 4 });
});

it("without a version others' changes do not matter", async () => {
  const world = desk([], () => command(1));
  await world.desk.give(ORDER);
  expect(world.asked.mock.calls[0]?.[1]).not.toHaveProperty("expect_version");
});

it("a conflict tells what others did, also what the page had not heard of", async () => {
  const refuse = (): never => {
    throw conflict;
  };
  const world = desk([command(3)], refuse, [command(7, { actor: "bob", state: "applied" }), command(3)]);
  const given = await world.desk.give({ ...ORDER, seen: 3 });
  expect(given).toMatchObject({ kind: "conflict", why: "Command 7 came since.", version: 7 });
  expect(given.kind === "conflict" && given.changed.map(({ id }) => id)).toEqual(["c7"]);
});

it("any other refusal is a sentence", async () => {
  const world = desk([], () => {
    throw new Refused(409, "rollback_pending", "Not now.", "Wait.");
  });
  expect(await world.desk.give(ORDER)).toEqual({ kind: "refused", why: "Not now. Wait." });
});

it("cancels by id, and says why it could not", async () => {
  const world = desk([command(4)], () => command(4, { state: "cancelled", history: [{}, {}] }));
  expect(await world.desk.cancel("c4")).toBeNull();
  expect([world.asked.mock.calls[0]?.[0], world.state().detail.commands["c4"]?.state]).toEqual([
    "api/commands/c4/cancel",
    "cancelled",
  ]);
});

it("a dry run is marked as one, and stores nothing", async () => {
  const world = desk([], () => ({ dry_run: true, steps: [1], from: 1, to: 1 }));
  const answer = await world.desk.whatIf("r", "gate", ORDER.args, new AbortController().signal);
  expect(world.asked.mock.calls[0]?.[1]).toMatchObject({ dry_run: true, kind: "gate" });
  expect([answer.ok, world.state().detail.commands]).toEqual([true, {}]);
});
