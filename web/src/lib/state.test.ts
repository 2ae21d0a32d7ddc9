import { describe, expect, it } from "vitest";
import { alertOf, commandOf, eventOf, runOf } from "./models";
import {
  type Action,
  INITIAL,
  type State,
  ageAt,
  ageWord,
  alertsOf,
  answerTo,
  canControl,
  commandsOf,
  listedRuns,
  reduce,
  worstHealth,
} from "./state";

const run = (id: string, more: Record<string, unknown> = {}): Action => ({
  type: "run",
  run: runOf({ id, state: "running", ...more }),
  atMs: 0,
});
const after = (...actions: Action[]): State => actions.reduce(reduce, INITIAL);
const SHOWN: Action[] = [run("r"), { type: "select", run: "r" }];

describe("runs", () => {
  it("stand newest first, and keep their place when they change", () => {
    const state = after(
      run("old", { started_s: 1 }),
      run("new", { started_s: 9 }),
      run("old", { started_s: 1, step: 5 }),
    );
    expect(state.order).toEqual(["new", "old"]);
    expect(state.runs["old"]?.step).toBe(5);
  });

  it("that the server no longer names are gone", () => {
    const state = after(run("a"), { type: "runs", runs: [runOf({ id: "b" })], atMs: 0 });
    expect(state.order).toEqual(["b"]);
  });

  it("are taken in one go, thousands of them, newest first, with their ages", () => {
    const runs = Array.from({ length: 5_000 }, (_, i) => runOf({ id: `r${i}`, started_s: i, data_age_s: i }));
    const began = performance.now();
    const state = after({ type: "runs", runs, atMs: 7 });
    expect(performance.now() - began).toBeLessThan(500);
    expect([state.order.length, state.order[0], state.order.at(-1)]).toEqual([5_000, "r4999", "r0"]);
    expect(state.ages["r12"]).toEqual({ seconds: 12, atMs: 7 });
    expect(state.surveyed["r12"]).toBe(true);
  });

  it("of which nothing newer was heard keep the age that they have", () => {
    const told = runOf({ id: "r", data_age_s: 1 });
    const state = after({ type: "run", run: told, atMs: 5 }, { type: "runs", runs: [told], atMs: 900 });
    expect(state.ages["r"]).toEqual({ seconds: 1, atMs: 5 });
  });

  it("that are deleted are told by the name that a person gave them", () => {
    const state = after(run("r", { project: "p", name: "n", label: "best" }), { type: "gone", run: "r" });
    expect(state.problem).toBe("The run p/best was deleted.");
  });

  it("that are put away are not listed, but for the one on the screen", () => {
    const state = after(run("a", { archived: true }), run("b"), run("c", { archived: true }), { type: "select", run: "c" });
    expect(listedRuns(state).map(({ id }) => id).sort()).toEqual(["b", "c"]);
  });
});

describe("details", () => {
  it("of another run than the shown one are thrown away", () => {
    const state = after(
      ...SHOWN,
      { type: "alert", alert: alertOf({ id: "a", run: "other" }) },
      { type: "command", command: commandOf({ id: "c", run: "other" }) },
      { type: "detail", run: "other", detail: { events: [eventOf({})] } },
    );
    expect(state.detail).toMatchObject({ alerts: {}, commands: {}, events: [] });
  });

  it("that come twice change nothing", () => {
    const event: Action = { type: "event", run: "r", event: eventOf({ step: 1, kind: "gap", time_s: 2 }) };
    const alert: Action = { type: "alert", alert: alertOf({ id: "a", run: "r" }) };
    const state = after(...SHOWN, event, event, alert, alert);
    expect(state.detail.events).toHaveLength(1);
    expect(alertsOf(state.detail)).toHaveLength(1);
  });

  it("begin anew with another run", () => {
    const state = after(
      ...SHOWN,
      { type: "alert", alert: alertOf({ id: "a", run: "r" }) },
      { type: "select", run: "s" },
    );
    expect(alertsOf(state.detail)).toEqual([]);
  });
});

describe("what people said of an alert", () => {
  const firing = (more: Record<string, unknown>): Action => ({
    type: "alert",
    alert: alertOf({ id: "a", run: "r", state: "firing", ...more }),
  });

  it("is not taken back by a message that is silent about it", () => {
    const said = after(...SHOWN, firing({ verdict: "false", silenced_until_s: 9 }), firing({ step: 7 }));
    expect(said.detail.alerts["a"]).toMatchObject({ step: 7, verdict: "false", silencedUntilS: 9 });
  });

  it("is taken back by one that says so", () => {
    const said = after(...SHOWN, firing({ verdict: "false" }), firing({ verdict: null }));
    expect(said.detail.alerts["a"]?.verdict).toBeNull();
  });
});

describe("a command", () => {
  const at = (...states: string[]): Action => ({
    type: "command",
    command: commandOf({
      id: "c",
      run: "r",
      alert: "a",
      state: states.at(-1),
      history: states.map((state) => ({ state, at_s: 1 })),
    }),
  });

  it("is not taken back by an answer that is older than the socket's news", () => {
    const state = after(...SHOWN, at("queued", "sent", "received", "applied"), at("queued"));
    expect(state.detail.commands["c"]?.state).toBe("applied");
    const loaded = reduce(state, {
      type: "detail",
      run: "r",
      detail: { commands: [commandOf({ id: "c", run: "r", state: "queued", history: [{ state: "queued" }] })] },
    });
    expect(loaded.detail.commands["c"]?.state).toBe("applied");
  });

  it("keeps its effect when an answer comes late that was read before the effect was known", () => {
    const told = (effect: unknown): Action => ({
      type: "command",
      command: commandOf({ id: "c", run: "r", state: "applied", history: [{ state: "applied" }], effect }),
    });
    const state = after(...SHOWN, told({ verdict: "worked" }), told(null));
    expect(state.detail.commands["c"]?.effect?.verdict).toBe("worked");
  });

  it("answers its alert; the newest counts", () => {
    const state = after(
      ...SHOWN,
      { type: "command", command: commandOf({ id: "1", run: "r", number: 1, alert: "a" }) },
      { type: "command", command: commandOf({ id: "2", run: "r", number: 2, alert: "a" }) },
    );
    expect(answerTo(state.detail, "a")?.id).toBe("2");
    expect(answerTo(state.detail, "b")).toBeNull();
    expect(commandsOf(state.detail).map((command) => command.id)).toEqual(["2", "1"]);
  });
});

it("alerts that need a person come first, and among them the first bad signal", () => {
  const alert = (id: string, state: string, severity: string, step: number): Action => ({
    type: "alert",
    alert: alertOf({ id, run: "r", state, severity, step }),
  });
  const state = after(
    ...SHOWN,
    alert("resolved", "resolved", "critical", 1),
    alert("late", "firing", "critical", 9),
    alert("first", "firing", "critical", 5),
    alert("mild", "firing", "warning", 2),
  );
  expect(alertsOf(state.detail).map((a) => a.id)).toEqual(["first", "late", "mild", "resolved"]);
});

it("the tab says the worst", () => {
  const state = after(
    run("a", { health: "ok" }),
    run("b", { health: "critical", alerts: { critical: 2 } }),
    run("c", { health: "warning" }),
  );
  expect(worstHealth(state)).toBe("critical");
  expect(worstHealth(INITIAL)).toBe("unknown");
  expect(worstHealth(reduce(state, run("b", { health: "critical", archived: true })))).toBe("warning");
});

it("only control and admin may act", () => {
  const may = (...scopes: string[]): boolean => canControl(after({ type: "access", scopes }));
  expect([may("view"), may("ingest"), may("control"), may("admin")]).toEqual([false, false, true, true]);
});

describe("the data's age", () => {
  const word = (state: string, age: number | null, link: State["link"] = "up"): ReturnType<typeof ageWord> =>
    ageWord(link, runOf({ state }), age);

  it("goes on with the page's clock", () => {
    expect(ageAt({ seconds: 2, atMs: 1000 }, 4500)).toBe(5.5);
    expect(ageAt(undefined, 4500)).toBeNull();
  });

  it("says why there is no newer data", () => {
    expect(word("running", 0.3)).toEqual({ text: "0.3 s", tone: "plain" });
    expect(word("running", 8)).toEqual({ text: "8.0 s", tone: "warning" });
    expect(word("paused", 8)).toEqual({ text: "paused", tone: "calm" });
    expect(word("running", 8, "down")).toEqual({ text: "server gone", tone: "critical" });
    expect(word("lost", 80)).toEqual({ text: "lost, 1 m 20 s", tone: "critical" });
  });
});
