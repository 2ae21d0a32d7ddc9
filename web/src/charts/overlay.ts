/**
 * What lies behind and upon the curves of all charts: stage bands, and marks of alerts, commands, trips and rollbacks.
 *
 * Rules of this file: pure; a mark says at which step and in a sentence what happened; what a rollback took off the
 * curves it takes off the marks.
 */
import { currentBranch, placeOf } from "../lib/events";
import { short, step as stepText, words } from "../lib/format";
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

export interface Mark {
  readonly id: string;
  readonly kind: "alert" | "command" | "trip" | "rollback";
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

export function bandsOf(stages: readonly StageMark[]): Band[] {
  const sorted = [...stages].sort((a, b) => a.start - b.start);
  return sorted.map((stage, i) => ({
    from: stage.start,
    to: sorted[i + 1]?.start ?? null,
    name: stage.name,
    isOdd: i % 2 === 1,
  }));
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
    const appliedS = command.history.at(-1)?.atS ?? null;
    return isTakenBack(backs, command.step, appliedS) ? [] : [commandMark(command, command.step)];
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

/** What a command does, or did. */
export function commandText(command: Command): string {
  const component = command.args["component"];
  const name = typeof component === "string" ? `${component} weight` : "";
  if (command.kind === "set_weight") {
    const value = typeof command.args["value"] === "number" ? command.args["value"] : Number(command.args["value"]);
    return command.old === null
      ? `set ${name} to ${short(command.new ?? value)}`
      : `${name} ${short(command.old)} → ${short(command.new)}`;
  }
  if (command.kind === "revert" && command.new !== null)
    return `reverted: ${short(command.old)} → ${short(command.new)}`;
  if (command.kind === "instrument") return `full detail for ${stepText(Number(command.args["steps"]))} steps`;
  if (command.kind === "rollback") return "roll back";
  return words(command.kind);
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
  trip: "■",
  rollback: "◀",
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
