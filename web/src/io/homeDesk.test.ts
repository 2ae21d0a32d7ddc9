import { describe, expect, it, vi } from "vitest";
import { WISH } from "../lib/home";
import { runOf } from "../lib/models";
import { type Action, INITIAL, reduce } from "../lib/state";
import { Refused } from "./api";
import { HttpHomeDesk, wishOf } from "./homeDesk";

function world(answer: (path: string) => unknown) {
  let state = reduce(INITIAL, { type: "run", run: runOf({ id: "r 1", name: "n" }), atMs: 0 });
  const seen: string[] = [];
  const ask = vi.fn((path: string) => {
    seen.push(`${path} ${Object.keys(state.runs).join()}`);
    return new Promise((done) => done(answer(path)));
  });
  const storage = new Map<string, string>();
  const desk = new HttpHomeDesk({
    api: { get: ask, post: ask, patch: ask, remove: ask },
    dispatch: (action: Action) => (state = reduce(state, action)),
    nowMs: () => 0,
    storage: {
      getItem: (key: string) => storage.get(key) ?? null,
      setItem: (key: string, value: string) => void storage.set(key, value),
    } as Storage,
  });
  return { desk, seen, ask, state: () => state };
}

describe("runs as things", () => {
  it("a change is on the page when it is answered", async () => {
    const { desk, state, ask } = world(() => ({ id: "r 1", name: "n", label: "best" }));
    expect(await desk.change("r 1", { label: "best" })).toMatchObject({ ok: true, value: { label: "best" } });
    expect(ask).toHaveBeenCalledWith("api/runs/r%201", { label: "best" });
    expect(state().runs["r 1"]?.label).toBe("best");
  });

  it("a deleted run leaves at once and without a word of its own", async () => {
    const { desk, seen, state } = world(() => null);
    const run = runOf({ id: "r 1" });
    expect(await desk.remove(run)).toEqual({ ok: true, value: null });
    expect(seen).toEqual(["api/runs/r%201 "]);
    expect(state().problem).toBeNull();
  });

  it("a run that the server does not delete comes back", async () => {
    const { desk, state } = world(() => {
      throw new Refused(409, "run_connected", "A trainer is connected.", "Stop it.");
    });
    const run = runOf({ id: "r 1" });
    expect(await desk.remove(run)).toEqual({ ok: false, fault: "A trainer is connected. Stop it." });
    expect(Object.keys(state().runs)).toEqual(["r 1"]);
  });

  it("of the deleted runs the last one is first", async () => {
    const items = [
      { id: "a", deleted_s: 5, restorable_until_s: 9 },
      { id: "c", deleted_s: 7 },
    ];
    const found = await world(() => ({ items })).desk.deleted();
    expect(found.ok && found.value.map(({ run, untilS }) => [run.id, untilS])).toEqual([
      ["c", null],
      ["a", 9],
    ]);
  });

  it("curves are asked for at most 200 at a time, and hold what is not finite", async () => {
    const { desk, ask } = world(() => ({ a: { steps: [0, 5], totals: [1, "NaN"] } }));
    const found = await desk.totals(Array.from({ length: 300 }, (_, i) => `r&${i}`));
    const value = { a: [[0, 1], [5, Number.NaN]] }; // prettier-ignore
    expect(found).toEqual({ ok: true, value });
    expect(new URL(ask.mock.calls[0]?.[0] ?? "", "http://h/").searchParams.getAll("run")).toHaveLength(200);
  });
});

it("how the list was looked at is remembered, and what cannot be read is as at first", () => {
  const { desk } = world(() => null);
  expect(desk.remembered()).toEqual(WISH);
  const wish = { ...WISH, search: "x", tag: "t", state: "lost", sort: "total", isDown: false, isGrouped: true } as const;
  desk.remember(wish);
  expect(desk.remembered()).toEqual(wish);
  expect(wishOf('{"sort":"no","state":7,"isDown":"x"}')).toEqual(WISH);
  expect(wishOf("{")).toEqual(WISH);
});
