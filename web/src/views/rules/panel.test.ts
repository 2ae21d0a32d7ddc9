import { beforeEach, expect, it, vi } from "vitest";
import type { Answer } from "../../lib/answer";
import { type Configuration, type RulesDesk, type RulesView, rulesViewOf } from "../../lib/rules";
import { type Trial, progressOf, trialOf } from "../../lib/rulesTrial";
import { typed } from "../../lib/rulesDraft";
import { RulesPanel } from "./panel";

/** What is set at each place, as a server keeps it. */
let stored: Record<string, Configuration>;
const preview = vi.fn<RulesDesk["preview"]>(() => Promise.resolve(ok(trialOf({}))));
const backtest = vi.fn<RulesDesk["backtest"]>(() => Promise.resolve(ok(trialOf({}))));

function ok<T>(value: T): Answer<T> {
  return { ok: true, value };
}

/** The rule of a place: what is set nearest to it counts. */
function viewOf(kind: "run" | "project" | "server"): RulesView {
  const layers = { run: ["project", "run"], project: ["project"], server: [] }[kind];
  const value = layers.map((layer) => stored[layer]?.["a"]?.parameters?.["x"]).findLast((said) => said !== undefined);
  const parameters = [{ name: "x", low: 0, high: 10, default: 1, value: value ?? 1 }];
  return rulesViewOf({ own: stored[kind] ?? {}, rules: [{ name: "a", number: "R1", parameters }] });
}

const desk: RulesDesk = {
  view: (place) => Promise.resolve(ok(viewOf(place.kind))),
  set: (place, configuration) => {
    stored[place.kind] = configuration;
    return Promise.resolve(ok(viewOf(place.kind)));
  },
  preview,
  backtest,
  health: () => Promise.resolve({ ok: false, fault: "" }),
};

async function opened(text: string): Promise<RulesPanel> {
  const panel = new RulesPanel(desk, "r", "p");
  await panel.load();
  write(panel, text);
  return panel;
}

function write(panel: RulesPanel, text: string): void {
  const rule = panel.view.value?.rules[0];
  const parameter = rule?.parameters[0];
  if (rule === undefined || parameter === undefined) throw new Error("nothing is loaded");
  panel.edit(typed(panel.draft.value, rule, parameter, text));
}

beforeEach(() => {
  stored = {};
  vi.clearAllMocks();
});

it("what somebody else set meanwhile is kept", async () => {
  const panel = await opened("2");
  stored["run"] = { other: { enabled: false } };
  await panel.set("done");
  expect(stored["run"]).toEqual({ other: { enabled: false }, a: { parameters: { x: 2 } } });
  expect([panel.draft.value, panel.said.value]).toEqual([{}, "done"]);
});

it("a preview of a project's value is one of this run, whose own values count over it", async () => {
  stored = { project: { b: { enabled: false } }, run: { c: { enabled: false } } };
  const panel = await opened("2");
  panel.choose("project");
  expect(panel.draft.value, "a draft belongs to its place").toEqual({});
  write(panel, "3");
  await panel.preview();
  expect(preview.mock.calls[0]?.slice(0, 2)).toEqual([
    "r",
    { a: { parameters: { x: 3 } }, b: { enabled: false }, c: { enabled: false } },
  ]);
  expect(stored["project"]).toEqual({ b: { enabled: false } });
});

it("a backtest tries the rules as they stand here, or only the changes over each run's own", async () => {
  stored = { run: { a: { parameters: { x: 5 } } } };
  const panel = new RulesPanel(desk, "r", "p");
  await panel.load();
  await panel.backtest(["r"], "defaults");
  await panel.backtest(["r"], "run");
  expect(backtest.mock.calls.map(([, configuration]) => configuration)).toEqual([{ a: { parameters: { x: 5 } } }, {}]);
});

it("an answer that nobody waits for any more is not shown", async () => {
  const panel = await opened("2");
  let answer: (trial: Answer<Trial>) => void = () => undefined;
  preview.mockImplementationOnce((_run, _configuration, watch) => {
    watch.onProgress(progressOf({ step: 5 }));
    return new Promise((resolve) => (answer = resolve));
  });
  const asked = panel.preview();
  expect(panel.progress.value).toMatchObject({ step: 5 });
  panel.cancel();
  answer(ok(trialOf({})));
  await asked;
  expect([panel.progress.value, panel.tried.value, preview.mock.calls[0]?.[2].signal.aborted]).toEqual([
    null,
    null,
    true,
  ]);
});

it("what was found is shown until the values change", async () => {
  const panel = await opened("2");
  await panel.preview();
  expect(panel.tried.value?.what).toBe("preview");
  write(panel, "3");
  expect(panel.tried.value).toBeNull();
});

it("what is typed while a change is being set is not lost", async () => {
  const panel = await opened("2");
  const setting = panel.set("done");
  write(panel, "3");
  await setting;
  expect(stored["run"]).toEqual({ a: { parameters: { x: 2 } } });
  expect(panel.changes.value).toEqual([{ rule: "a", parameter: "x", from: "2", to: "3" }]);
  expect(panel.said.value).toBeNull();
});
