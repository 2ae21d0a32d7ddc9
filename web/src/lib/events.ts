/**
 * The events of the run that the page keeps, and what a rollback makes of them.
 *
 * Rules of this file: bounded, because a run may trip at every step for a night; a rollback or a stage is never thrown
 * away for a trip, because it says what the steps behind it mean; the heavy part of a freeze-frame is not for the page.
 */
import { rollbackOf } from "./guard";
import type { RunEvent } from "./models";

/** Nights of trips, which are drawn as bands; a count of a band that lost its beginning would be wrong. */
export const EVENTS_KEPT = 5000;

function isSame(a: RunEvent, b: RunEvent): boolean {
  return a.step === b.step && a.kind === b.kind && a.timeS === b.timeS;
}

/** Random states in hex and batch numbers of 256 steps: megabytes over a night, and nothing that is drawn. */
function lightened(event: RunEvent): RunEvent {
  return event.kind === "freeze_frame" ? { ...event, data: {} } : event;
}

const LASTING: ReadonlySet<string> = new Set(["rollback", "resume", "stage"]);

function bounded(events: readonly RunEvent[]): readonly RunEvent[] {
  let left = events.length - EVENTS_KEPT;
  if (left <= 0) return events;
  const kept = events.filter((event) => LASTING.has(event.kind) || left-- <= 0);
  return kept.slice(-EVENTS_KEPT);
}

/** The events with one more; the same list when it is known already. */
export function withEvent(events: readonly RunEvent[], event: RunEvent): readonly RunEvent[] {
  return events.some((known) => isSame(known, event)) ? events : bounded([...events, lightened(event)]);
}

/** A loaded list, oldest first, and behind it what came live meanwhile. */
export function mergedEvents(live: readonly RunEvent[], loaded: readonly RunEvent[]): readonly RunEvent[] {
  const keyOf = (event: RunEvent): string => `${event.step} ${event.kind} ${event.timeS ?? ""}`;
  const known = new Set(loaded.map(keyOf));
  return bounded([...loaded.map(lightened), ...live.filter((event) => !known.has(keyOf(event)))]);
}

/** What is left of `events` when each rollback takes away what was at and after the step it went back to. */
export function currentBranch(events: readonly RunEvent[]): RunEvent[] {
  let kept: RunEvent[] = [];
  for (const event of events) {
    const to = event.kind === "rollback" ? rollbackOf(event.data).to : null;
    // A rollback stands at `to` itself: another one to the same step leaves it, one to an earlier step takes it.
    if (to !== null)
      kept = kept.filter((older) => placeOf(older) < to || (older.kind === "rollback" && placeOf(older) === to));
    kept.push(event);
  }
  return kept;
}

/** The step of the chart at which an event stands: a rollback where its new branch begins. */
export function placeOf(event: RunEvent): number {
  return event.kind === "rollback" ? (rollbackOf(event.data).to ?? event.step) : event.step;
}
