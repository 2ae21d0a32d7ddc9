// @vitest-environment happy-dom
import { act } from "preact/test-utils";
import { beforeEach, describe, expect, it } from "vitest";
import type { Answer } from "../../lib/answer";
import type { HomeDesk, RunChange } from "../../lib/home";
import { WISH } from "../../lib/home";
import { type Run, runOf } from "../../lib/models";
import { HomeBoard } from "./board";
import { AGAIN_MS, Curves } from "./curves";

const REFUSED: Answer<never> = { ok: false, fault: "No." };
let asked: string[] = [];

function desk(given: Partial<HomeDesk> = {}): HomeDesk {
  const done = (run: string): Promise<Answer<Run>> => Promise.resolve({ ok: true, value: runOf({ id: run }) });
  return {
    change: (run, change) => {
      asked.push(`change ${run} ${JSON.stringify(change)}`);
      return done(run);
    },
    remove: (run) => {
      asked.push(`remove ${run.id}`);
      return Promise.resolve({ ok: true, value: null });
    },
    restore: (run) => {
      asked.push(`restore ${run}`);
      return done(run);
    },
    deleted: () => Promise.resolve({ ok: true, value: [] }),
    totals: (runs) => {
      asked.push(`totals ${runs.join()}`);
      return Promise.resolve({ ok: true, value: Object.fromEntries(runs.map((run) => [run, [[0, 1]] as const])) });
    },
    remembered: () => WISH,
    remember: () => undefined,
    ...given,
  };
}

const [a, b] = [runOf({ id: "a", name: "a", tags: ["x"] }), runOf({ id: "b", name: "b", label: "best" })];

beforeEach(() => (asked = []));

describe("what is done to runs", () => {
  it("is told, and taken back to what it was", async () => {
    const board = new HomeBoard(desk());
    const changes = new Map<Run, RunChange>([
      [a, { tags: ["x", "y"] }],
      [b, { label: "", archived: true }],
    ]);
    await board.change(changes, "Done.");
    expect(board.told.value?.text).toBe("Done.");
    asked = [];
    await act(() => board.told.value?.undo?.());
    expect(asked).toEqual(['change a {"tags":["x"]}', 'change b {"label":"best","archived":false}']);
  });

  it("is told run by run where some of it was refused, and only what was done is taken back", async () => {
    const given = desk();
    const board = new HomeBoard(desk({ remove: (run) => (run.id === "a" ? Promise.resolve(REFUSED) : given.remove(run)) }));
    board.chosen.value = new Set(["a", "b"]);
    await board.remove([a, b]);
    expect(board.fault.value).toBe("a: No.");
    expect(board.told.value?.text).toContain("best is deleted");
    expect([...board.chosen.value]).toEqual(["a"]);
    await act(() => board.told.value?.undo?.());
    expect(asked).toEqual(["remove b", "restore b"]);
  });

  it("leaves no word of success where all of it was refused", async () => {
    const board = new HomeBoard(desk({ change: () => Promise.resolve(REFUSED) }));
    await board.change(new Map([[a, { label: "z" }]]), "Done.");
    expect([board.fault.value, board.told.value, board.isBusy.value]).toEqual(["a: No.", null, false]);
  });
});

describe("the curves of what is in view", () => {
  const at = (step: number | null, id = "a"): Run => runOf({ id, step });

  it("are asked for once, and again when the run went on and some time is over", async () => {
    const curves = new Curves(desk());
    await curves.want([at(5), at(null, "new")], 0);
    await curves.want([at(5)], AGAIN_MS);
    await curves.want([at(6)], AGAIN_MS - 1);
    expect(asked).toEqual(["totals a"]);
    await curves.want([at(6)], AGAIN_MS);
    expect(asked).toHaveLength(2);
    expect(curves.drawn.value.get("a")?.text).toContain("Total from 1");
  });

  it("are asked for one question at a time, and again after a failure", async () => {
    let answer: (value: Answer<never>) => void = () => undefined;
    let count = 0;
    const curves = new Curves({
      totals: () => {
        count += 1;
        return new Promise((resolve) => (answer = resolve));
      },
    });
    const first = curves.want([at(5)], 0);
    await curves.want([at(5)], 1);
    expect(count).toBe(1);
    answer(REFUSED);
    await first;
    void curves.want([at(5)], AGAIN_MS);
    expect(count).toBe(2);
  });
});
