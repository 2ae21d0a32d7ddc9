import { describe, expect, it } from "vitest";
import { incidentOf } from "./incidents";
import { alertOf, commandOf, eventOf } from "./models";
import { type Happened, folded, timelineOf } from "./timeline";

const incident = (more: Record<string, unknown> = {}): ReturnType<typeof incidentOf> =>
  incidentOf({ id: "i", run: "r", state: "open", first_step: 100, last_step: 140, ...more });
const happened = (more: Partial<Happened> = {}): Happened => ({ alerts: [], commands: [], events: [], now: 500, ...more });
const told = (...given: Parameters<typeof timelineOf>): string[] =>
  timelineOf(...given).map(({ step, kind, text }) => `${step} ${kind} ${text}`);

const alert = (id: string, step: number, more: object = {}): ReturnType<typeof alertOf> =>
  alertOf({ id, run: "r", rule: "loss_jump", series: "loss/total", step, fired_s: step, ...more });
const command = (id: string, step: number | null, more: object = {}): ReturnType<typeof commandOf> =>
  commandOf({
    id,
    run: "r",
    kind: "set_weight",
    args: { component: "x", value: 1 },
    state: step === null ? "rejected" : "applied",
    step,
    old: step === null ? null : 2,
    new: step === null ? null : 1,
    actor: "bob",
    ...more,
  });

describe("an incident as it went", () => {
  it("is its first sign, its alerts, what was done, and what came of it, by step", () => {
    const effect = { verdict: "worked", at_step: 130, steps: 50, text: "Total halved." };
    const lines = told(
      incident({ first_bad: [{ series: "grad_norm/head", step: 98, lead_steps: 2 }] }),
      happened({
        alerts: [alert("a", 100, { resolved_step: 160 })],
        commands: [command("c", 130, { alert: "a", effect })],
        events: [eventOf({ step: 101, kind: "trip", data: { action: "skipped", text: "NaN in loss/x" } })],
      }),
    );
    expect(lines).toEqual([
      "98 symptom grad_norm/head is off for the first time",
      "100 alert The total loss jumped, loss/total",
      "101 trip guard: NaN in loss/x",
      "130 command bob: x weight 2 → 1",
      "160 over resolved: The total loss jumped, loss/total",
      "180 effect ✓ worked. Total halved.",
    ]);
  });

  it("has what anybody applied while it lasted, and nothing of before or after", () => {
    const commands = [command("before", 99), command("while", 120), command("after", 141)];
    expect(told(incident({ state: "closed" }), happened({ commands }))).toEqual(["120 command bob: x weight 2 → 1"]);
    expect(told(incident(), happened({ commands }))).toHaveLength(2);
  });

  it("puts a command without a step where its time puts it", () => {
    const commands = [command("c", null, { alert: "a", created_s: 125, refusal: "out of bounds" })];
    const alerts = [alert("a", 100), alert("b", 120), alert("z", 130)];
    expect(told(incident(), happened({ alerts, commands }))[2]).toBe(
      "120 command bob: set x weight to 1 (rejected: out of bounds)",
    );
  });

  it("says how a rollback undid it", () => {
    const rollback = eventOf({ step: 150, kind: "rollback", data: { from: 150, to: 90 } });
    const undone = alert("a", 100, { resolved_step: 150, evidence: { rolled_back_to: 90 } });
    expect(told(incident(), happened({ alerts: [undone], events: [rollback] })).slice(1)).toEqual([
      "150 rollback rolled back to step 90",
      "150 over undone by a rollback to step 90: The total loss jumped, loss/total",
    ]);
  });
});

it("of a long one the beginning and the end are shown", () => {
  const moments = timelineOf(incident(), happened({ alerts: Array.from({ length: 9 }, (_, i) => alert(`${i}`, 100 + i)) }));
  const { head, rest, tail } = folded(moments, 5);
  expect([head, rest, tail].map((part) => part.map(({ step }) => step))).toEqual([
    [100, 101, 102],
    [103, 104, 105, 106],
    [107, 108],
  ]);
  expect(folded(moments, 9).rest).toEqual([]);
});
