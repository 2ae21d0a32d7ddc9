/**
 * What lies behind and upon the curves of all charts: stage bands, and marks of alerts, commands with their ends and
 * their effects, trips and rollbacks.
 *
 * Rules of this file: pure; a mark says at which step and in a sentence what happened; what a rollback took off the
 * curves it takes off the marks.
 */
import { text } from "../lib/decode";
import { commandText, isReverted, leaseEndOf, rampEndOf } from "../lib/deeds";
import { EFFECT_SHAPES, type EffectWord, judgedAt } from "../lib/effect";
import { currentBranch, placeOf } from "../lib/events";
import { step as stepText, words } from "../lib/format";
import { originOf, rollbackOf, tripOf } from "../lib/guard";
import type { Alert, Command, RunEvent, StageMark } from "../lib/models";
import type { Theme } from "./theme";

export interface Band {
  readonly from: number;
  /** null: to the end */
  readonly to: number | null;
  readonly name: string;
  readonly isOdd: boolean;
}

export type MarkKind = "alert" | "command" | "lease-end" | "ramp-end" | EffectMark | "trip" | "rollback" | "parting";
/** One a verdict, because its glyph says which. */
type EffectMark = "effect-worked" | "effect-none" | "effect-worse";

export interface Mark {
  readonly id: string;
  readonly kind: MarkKind;
  readonly severity: "critical" | "warning" | "none";
  readonly step: number;
  readonly text: string;
  /** of several trips drawn as one, the last step */
  readonly to?: number;
  /** the alert or the command whose card says more */
  readonly card: string | null;
}

export interface Overlay {
  readonly bands: readonly Band[];
  readonly marks: readonly Mark[];
}

/** The stages as they came: a stage that was held or gone to begins where the trainer says, not where it is declared. */
export function bandsOf(stages: readonly StageMark[], events: readonly RunEvent[] = []): Band[] {
  const begun = begunStages(events);
  const first = begun[0]?.start ?? Infinity;
  const declared = [...stages].sort((a, b) => a.start - b.start).filter((stage) => stage.start < first);
  const all = [...declared, ...begun];
  return all.map((stage, i) => ({
    from: stage.start,
    to: all[i + 1]?.start ?? null,
    name: stage.name,
    isOdd: i % 2 === 1,
  }));
}

/** A rollback or another attempt begins a stage once more: what was told of later steps is no more. */
function begunStages(events: readonly RunEvent[]): { readonly name: string; readonly start: number }[] {
  let begun: { readonly name: string; readonly start: number }[] = [];
  for (const event of events) {
    if (event.kind === "rollback") begun = begun.filter(({ start }) => start < placeOf(event));
    if (event.kind !== "stage") continue;
    begun = [...begun.filter(({ start }) => start < event.step), { name: text(event.data["name"]), start: event.step }];
  }
  return begun;
}

/** Alerts at the step since which, commands at the step from which they are in force, trips, rollbacks. */
export function marksOf(
  alerts: readonly Alert[],
  commands: readonly Command[],
  events: readonly RunEvent[] = [],
): Mark[] {
  const backs = backsOf(events, commands);
  const told = new Set(backs.map((back) => back.command));
  const ofAlerts = alerts.filter((alert) => !isTakenBack(backs, alert.step, alert.firedS)).map(alertMark);
  const ofCommands = commands.flatMap((command): Mark[] => {
    if (command.state !== "applied" || command.step === null || told.has(command.id)) return [];
    return [
      ...doneMarks(command, command.step, backs),
      ...(isReverted(command, commands) ? [] : endMarks(command, backs)),
    ];
  });
  const marks = [...ofAlerts, ...ofCommands, ...eventMarks(events, alerts)];
  return marks.sort((a, b) => a.step - b.step || SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
}

/** Of several lines at one step the worst is drawn last, upon the others. */
const SEVERITIES: readonly Mark["severity"][] = ["none", "warning", "critical"];

function alertMark(alert: Alert): Mark {
  return {
    id: alert.id,
    kind: "alert",
    severity: alert.severity,
    step: alert.step,
    text: `${words(alert.rule)} since step ${stepText(alert.step)}: ${alert.message}`,
    card: alert.id,
  };
}

function commandMark(command: Command, at: number): Mark {
  return {
    id: command.id,
    kind: "command",
    severity: "none",
    step: at,
    text: `${commandText(command)}, applied at step ${stepText(at)}`,
    card: command.id,
  };
}

/** That it was applied, and what came of it: gone from the curves where a rollback took its step back. */
function doneMarks(command: Command, at: number, backs: readonly Back[]): Mark[] {
  if (isTakenBack(backs, at, appliedS(command))) return [];
  const { effect } = command;
  const judged = effect === null ? null : judgedAt(effect);
  if (effect === null || judged === null || !effect.isDecided) return [commandMark(command, at)];
  const verdict: Mark = {
    id: `${command.id}-effect`,
    kind: EFFECT_MARKS[effect.verdict],
    // A change that made things worse is a reason to look; the other verdicts are none.
    severity: effect.verdict === "worse" ? "warning" : "none",
    step: judged,
    text: `${effect.verdict}: ${commandText(command)}, by step ${stepText(judged)}. ${effect.text}`.trim(),
    card: command.id,
  };
  return [commandMark(command, at), verdict];
}

const EFFECT_MARKS: Readonly<Record<EffectWord, EffectMark>> = {
  worked: "effect-worked",
  "no effect": "effect-none",
  worse: "effect-worse",
};

/** Where what was set ends or arrives by itself. A rollback leaves it in force, from the step it went back to. */
function endMarks(command: Command, backs: readonly Back[]): Mark[] {
  const at = backs.reduce(
    (step, back) => (isTakenBack([back], step, appliedS(command)) ? back.to : step),
    command.step ?? 0,
  );
  const moved = { ...command, step: at };
  const ends: readonly (readonly [MarkKind, number | null, string])[] = [
    ["lease-end", leaseEndOf(moved), "ends by itself"],
    ["ramp-end", rampEndOf(moved), "its ramp arrives"],
  ];
  return ends.flatMap(([kind, step, what]): Mark[] => {
    if (step === null) return [];
    const text = `${commandText(command)}: ${what} at step ${stepText(step)}`;
    return [{ id: `${command.id}-${kind}`, kind, severity: "none", step, text, card: command.id }];
  });
}

function appliedS(command: Command): number | null {
  return command.history.findLast((entry) => entry.state === "applied")?.atS ?? command.history.at(-1)?.atS ?? null;
}

interface Back {
  readonly to: number;
  readonly atS: number;
  readonly command: string | null;
}

/** The rollbacks, each with its time by the server's clock where a command tells it: an event's own is the trainer's. */
function backsOf(events: readonly RunEvent[], commands: readonly Command[]): Back[] {
  return events.flatMap((event): Back[] => {
    if (event.kind !== "rollback") return [];
    const { to, command } = rollbackOf(event.data);
    if (to === null) return [];
    const atS = commands.find((one) => one.id === command)?.history.at(-1)?.atS ?? event.timeS;
    return [{ to, atS: atS ?? -Infinity, command }];
  });
}

function isTakenBack(backs: readonly Back[], step: number, atS: number | null): boolean {
  return atS !== null && backs.some((back) => step >= back.to && atS < back.atS);
}

function eventMarks(events: readonly RunEvent[], alerts: readonly Alert[]): Mark[] {
  const current = currentBranch(events);
  const origins = new Map(
    current.filter((event) => event.kind === "origin").map((event) => [event.step, originOf(event.data)?.text ?? ""]),
  );
  return current.flatMap((event): Mark[] => {
    if (event.kind === "trip") return [tripMark(event, origins.get(event.step) ?? "", alerts)];
    return event.kind === "rollback" ? [rollbackMark(event)] : [];
  });
}

function tripMark(event: RunEvent, origin: string, alerts: readonly Alert[]): Mark {
  const trip = tripOf(event.data);
  const done = trip.isSkipped ? "the update was skipped" : "the guard only observes";
  const told =
    trip.text === "" ? `${trip.series.join(", ")} not finite at step ${stepText(event.step)}: ${done}.` : trip.text;
  const card = alerts.find((alert) => alert.rule === "nonfinite" && covers(alert, event.step));
  return {
    id: `trip-${event.step}-${event.timeS ?? ""}`,
    kind: "trip",
    // What was skipped did no harm; what was only observed is in the weights.
    severity: trip.isSkipped ? "warning" : "critical",
    step: event.step,
    text: `trip: ${told} ${origin}`.trim(),
    card: card?.id ?? null,
  };
}

function covers(alert: Alert, step: number): boolean {
  return alert.step <= step && step <= (alert.resolvedStep ?? alert.lastStep ?? Infinity);
}

function rollbackMark(event: RunEvent): Mark {
  const { from, command } = rollbackOf(event.data);
  const to = placeOf(event);
  return {
    id: `rollback-${to}-${event.timeS ?? ""}`,
    kind: "rollback",
    severity: "none",
    step: to,
    text: `rolled back to ${stepText(to)}${from === null ? "" : ` from ${stepText(from)}`}`,
    card: command,
  };
}

/** The colour of a mark's line: red and amber are health, what a person did has the colour of commands. */
export function markColour(mark: Mark, theme: Theme): string {
  if (mark.severity === "none") return theme.command;
  return mark.severity === "critical" ? theme.critical : theme.warning;
}

/** What stands at the mark's top; the shape tells the kind where colours cannot be told apart. */
export const GLYPHS: Readonly<Record<Mark["kind"], string>> = {
  alert: "▲",
  command: "◆",
  "lease-end": "◇",
  "ramp-end": "◈",
  "effect-worked": EFFECT_SHAPES.worked,
  "effect-none": EFFECT_SHAPES["no effect"],
  "effect-worse": EFFECT_SHAPES.worse,
  trip: "■",
  rollback: "◀",
  parting: "≠",
};

/** Of several marks under one glyph, the one that it stands for. */
export function chiefOf(marks: readonly Mark[]): Mark | undefined {
  return (
    marks.find((mark) => mark.severity === "critical" && mark.kind === "alert") ??
    marks.find((mark) => mark.severity === "critical") ??
    marks.find((mark) => mark.severity === "warning") ??
    // A rollback says why the curves begin anew here; what was asked for at the same step does not.
    marks.find((mark) => mark.kind === "rollback") ??
    marks[0]
  );
}

/** More lines than this are no tooltip. */
const LABEL_LINES = 6;

/** What several marks under one glyph say. */
export function labelOf(marks: readonly Mark[]): string {
  const lines = marks.map((mark) => mark.text);
  if (lines.length <= LABEL_LINES) return lines.join("\n");
  return [...lines.slice(0, LABEL_LINES - 1), `and ${lines.length - LABEL_LINES + 1} more`].join("\n");
}
