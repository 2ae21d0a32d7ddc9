import { describe, expect, it } from "vitest";
import { EVENTS_KEPT, currentBranch, mergedEvents, withEvent } from "./events";
import { type RunEvent, eventOf } from "./models";

const event = (kind: string, step: number, data: Record<string, unknown> = {}, time = step): RunEvent =>
  eventOf({ kind, step, time_s: time, data });
const back = (to: number, step = to): RunEvent => event("rollback", step, { to });

describe("the events that are kept", () => {
  it("are bounded, the newest stay, and a rollback is not lost among trips", () => {
    let events: readonly RunEvent[] = [back(0)];
    for (let step = 1; step < EVENTS_KEPT + 500; step += 1) events = withEvent(events, event("trip", step));
    expect(events).toHaveLength(EVENTS_KEPT);
    expect([events[0]?.kind, events.at(-1)?.step]).toEqual(["rollback", EVENTS_KEPT + 499]);
  });

  it("are bounded also when there are only rollbacks", () => {
    const many = Array.from({ length: EVENTS_KEPT + 7 }, (_, i) => back(i));
    expect(mergedEvents([], many)).toHaveLength(EVENTS_KEPT);
  });

  it("are each there once, whether they came live, by HTTP, or both", () => {
    const [a, b, c] = [event("trip", 1), event("trip", 2), event("trip", 3)];
    expect(withEvent([a], event("trip", 1))).toEqual([a]);
    expect(mergedEvents([b, c], [a, b])).toEqual([a, b, c]);
  });

  it("do not carry the heavy part of a freeze-frame", () => {
    expect(withEvent([], event("freeze_frame", 9, { rng: "00".repeat(5000) }))[0]?.data).toEqual({});
  });
});

describe("a rollback", () => {
  const steps = (events: readonly RunEvent[]): [string, number][] => events.map((e) => [e.kind, e.step]);

  it("takes what was at and after its step before it, and nothing that came later", () => {
    const events = [event("trip", 5), event("trip", 10), event("trip", 20), back(10), event("trip", 12)];
    expect(steps(currentBranch(events))).toEqual([
      ["trip", 5],
      ["rollback", 10],
      ["trip", 12],
    ]);
  });

  it("stays when another goes back to the same step, and goes when one goes further", () => {
    expect(steps(currentBranch([back(10), back(10, 11)]))).toHaveLength(2);
    expect(steps(currentBranch([back(10), back(4)]))).toEqual([["rollback", 4]]);
  });

  it("that does not say where it went takes nothing", () => {
    expect(currentBranch([event("trip", 5), event("rollback", 3)])).toHaveLength(2);
  });
});
