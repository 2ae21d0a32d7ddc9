/**
 * An incident as it went: its alerts, what was done about it, and what came of that, in order.
 *
 * Rules of this file: pure. The order is that of steps, because everything that matters has one; what has none (a command
 * that was never applied) stands where its time puts it. Of the commands those that answer an alert of the incident, and
 * whatever else was applied while it lasted: at 2 a.m. nobody remembers what the other person tried.
 */
import { commandText, resultOf } from "./deeds";
import { EFFECT_SHAPES, judgedAt, verdictText } from "./effect";
import { step as stepText } from "./format";
import { rollbackOf, tripOf } from "./guard";
import type { Incident } from "./incidents";
import type { Alert, Command, RunEvent } from "./models";
import { ruleTitle } from "./ruleTitles";

export type MomentKind = "symptom" | "trip" | "alert" | "command" | "rollback" | "effect" | "over";

export interface Moment {
  readonly kind: MomentKind;
  readonly step: number;
  /** epoch seconds, where it is known */
  readonly atS: number | null;
  readonly text: string;
  readonly severity: Alert["severity"] | null;
  /** the card that tells more */
  readonly card: string | null;
}

/** At one step in this order: what happened, what was said of it, what was done, what came of it. */
const ORDER: readonly MomentKind[] = ["symptom", "trip", "alert", "command", "rollback", "effect", "over"];

export interface Happened {
  readonly alerts: readonly Alert[];
  readonly commands: readonly Command[];
  readonly events: readonly RunEvent[];
  /** the newest step of the run */
  readonly now: number | null;
}

export function timelineOf(incident: Incident, { alerts, commands, events, now }: Happened): Moment[] {
  const end = incident.isOpen ? Math.max(incident.lastStep, now ?? 0) : lastStepOf(incident, alerts);
  const isWithin = (step: number | null): boolean => step !== null && step >= incident.firstStep && step <= end;
  const own = new Set(alerts.map((alert) => alert.id));
  const placed = [...symptomsOf(incident), ...alerts.flatMap(alertMoments), ...eventMoments(events, isWithin)];
  const done = commands.filter((one) => (one.alert !== null && own.has(one.alert)) || isWithin(one.step));
  const whole = [...placed, ...done.flatMap((command) => commandMoments(command, placeOf(command, placed, incident)))];
  return whole.sort(
    (a, b) => a.step - b.step || ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind) || (a.atS ?? 0) - (b.atS ?? 0),
  );
}

/** An effect is judged, and a command applied, a little after the last sign. */
function lastStepOf({ lastStep }: Incident, alerts: readonly Alert[]): number {
  return alerts.reduce((last, alert) => Math.max(last, alert.resolvedStep ?? -1), lastStep);
}

function symptomsOf({ firstBad }: Incident): Moment[] {
  const first = firstBad[0];
  if (first === undefined) return [];
  return [{ ...NOTHING, kind: "symptom", step: first.step, text: `${first.series} is off for the first time` }];
}

const NOTHING = { atS: null, severity: null, card: null } as const;

function alertMoments(alert: Alert): Moment[] {
  const { id: card, severity, rolledBackTo, resolvedStep } = alert;
  const what = `${ruleTitle(alert.rule)}, ${alert.series}`;
  const fired: Moment = { kind: "alert", step: alert.step, atS: alert.firedS, severity, card, text: what };
  if (resolvedStep === null) return [fired];
  const how = rolledBackTo === null ? "resolved" : `undone by a rollback to step ${stepText(rolledBackTo)}`;
  return [fired, { ...NOTHING, kind: "over", step: resolvedStep, card, text: `${how}: ${what}` }];
}

function eventMoments(events: readonly RunEvent[], isWithin: (step: number) => boolean): Moment[] {
  return events.flatMap((event): Moment[] => {
    if (!isWithin(event.step)) return [];
    const base = { ...NOTHING, step: event.step, atS: event.timeS };
    if (event.kind === "trip") {
      const trip = tripOf(event.data);
      return [{ ...base, kind: "trip", text: `guard: ${trip.text || (trip.isSkipped ? "update skipped" : "not finite")}` }];
    }
    if (event.kind !== "rollback") return [];
    return [{ ...base, kind: "rollback", text: `rolled back to step ${stepText(rollbackOf(event.data).to)}` }];
  });
}

function commandMoments(command: Command, step: number): Moment[] {
  const { id: card, createdS: atS, effect } = command;
  const who = command.actor === "" ? "" : `${command.actor}: `;
  const text = `${who}${commandText(command)}${command.state === "applied" ? "" : ` (${resultOf(command)})`}`;
  const done: Moment = { ...NOTHING, kind: "command", step, atS, card, text };
  if (effect === null) return [done];
  const [sign, word] = verdictText(effect);
  const numbers = effect.text === "" ? "" : `. ${effect.text}`;
  return [done, { ...NOTHING, kind: "effect", step: judgedAt(effect) ?? step, card, text: `${sign} ${word}${numbers}` }];
}

/** The step of a command; of one that has none, that of what happened before it. */
function placeOf(command: Command, placed: readonly Moment[], { firstStep }: Incident): number {
  if (command.step !== null) return command.step;
  const before = placed.filter((one) => one.atS !== null && one.atS <= (command.createdS ?? 0)).map((one) => one.step);
  return before.length === 0 ? firstStep : Math.max(...before);
}

/** What stands before each kind, so that the order is seen without reading. */
export const MOMENT_SIGNS: Readonly<Record<MomentKind, string>> = {
  symptom: "~",
  trip: "⊘",
  alert: "!",
  command: "▸",
  rollback: "↶",
  effect: EFFECT_SHAPES.worked,
  over: "·",
};

/** The parts of a long one: its beginning and its end are what matters. */
export function folded(moments: readonly Moment[], most: number): { head: readonly Moment[]; rest: readonly Moment[]; tail: readonly Moment[] } {
  if (moments.length <= most) return { head: moments, rest: [], tail: [] };
  const at = Math.ceil(most / 2);
  return { head: moments.slice(0, at), rest: moments.slice(at, moments.length - (most - at)), tail: moments.slice(-(most - at)) };
}
