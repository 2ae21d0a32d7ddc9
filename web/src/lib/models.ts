/**
 * What the server says, as records, and their readers.
 *
 * Rules of this file: docs/protocol.md sections 2 and 3 are the definition; every record is read here, once, from
 * either surface (JSON with words for non-finite numbers, msgpack with the numbers themselves).
 */
import {
  type Fields,
  fields,
  fieldsOrNull,
  integerOrNull,
  list,
  numberOr,
  numberOrNull,
  oneOf,
  text,
  textOrNull,
  texts,
} from "./decode";
import { type Blame, blameOf } from "./blamed";
import { type Effect, effectOf } from "./effect";
import { type Forecast, forecastOf } from "./forecast";
import { type Guard, type Origin, guardOf, originOf } from "./guard";
import { type Rank, ranksOf } from "./ranks";
import { type Told, toldOf } from "./told";

export const RUN_STATES = ["waiting", "running", "paused", "finished", "stopped", "crashed", "lost"] as const;
export type RunState = (typeof RUN_STATES)[number];
export const HEALTHS = ["ok", "warning", "critical", "unknown"] as const;
export type Health = (typeof HEALTHS)[number];
export const ALERT_STATES = ["pending", "firing", "acknowledged", "resolved"] as const;
export type AlertState = (typeof ALERT_STATES)[number];
export const COMMAND_STATES = [
  "queued",
  "sent",
  "received",
  "applied",
  "rejected",
  "expired",
  "superseded",
  "cancelled",
  "rolled_back",
] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

export interface Component {
  readonly name: string;
  readonly raw: number | null;
  readonly weight: number | null;
  readonly scheduledWeight: number | null;
  readonly contribution: number | null;
  readonly share: number | null;
  readonly low: number;
  readonly high: number;
}

export type Bounds = readonly [low: number, high: number];

export interface StageMark {
  readonly index: number;
  readonly name: string;
  readonly start: number;
}

export interface Run {
  readonly id: string;
  readonly project: string;
  readonly name: string;
  readonly state: RunState;
  readonly connected: boolean;
  readonly step: number | null;
  readonly stage: StageMark | null;
  readonly attempt: number;
  readonly device: string;
  readonly stepsPerS: number | null;
  readonly dataAgeS: number | null;
  readonly startedS: number | null;
  readonly health: Health;
  readonly critical: number;
  readonly warning: number;
  readonly components: readonly Component[];
  readonly total: number | null;
  readonly gradNorm: number | null;
  readonly gaps: number;
  readonly pointsQueued: number;
  readonly pointsDropped: number;
  readonly controls: readonly string[];
  /** within which the script lets learning rates be multiplied, and gradients be clipped */
  readonly lrScaleBounds: Bounds;
  readonly clipBounds: Bounds;
  readonly ranks: readonly Rank[];
  /** null where the trainer says nothing of one */
  readonly guard: Guard | null;
  /** how often the guard tripped */
  readonly trips: number;
  /** the step that a rollback would go back to */
  readonly snapshotStep: number | null;
  /** the last step in full detail */
  readonly detailUntil: number | null;
  /** a person's own name for it; empty: none */
  readonly label: string;
  readonly note: string;
  readonly tags: readonly string[];
  /** put away: lists show it when they are asked to */
  readonly archived: boolean;
  /** when somebody deleted it, in epoch seconds; it can be restored for a while */
  readonly deletedS: number | null;
}

export interface SeriesInfo {
  readonly name: string;
  readonly unit: string;
  readonly lastStep: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

export interface Remedy {
  readonly kind: string;
  readonly args: Fields;
  readonly text: string;
}

export interface Alert {
  readonly id: string;
  readonly run: string;
  readonly rule: string;
  readonly series: string;
  readonly component: string | null;
  readonly severity: "critical" | "warning";
  readonly state: AlertState;
  readonly step: number;
  readonly lastStep: number | null;
  readonly resolvedStep: number | null;
  readonly firedS: number | null;
  readonly message: string;
  readonly evidenceText: string;
  readonly evidence: readonly (readonly [name: string, value: number])[];
  readonly values: readonly (readonly [step: number, value: number])[];
  /** where the non-finite value was born; it may come after the alert */
  readonly origin: Origin | null;
  /** the alert is over because a rollback to this step undid its steps */
  readonly rolledBackTo: number | null;
  readonly blame: Blame | null;
  readonly remedy: Remedy | null;
  /** the incident that it belongs to */
  readonly incident: string | null;
  /** what a person said of it */
  readonly verdict: Verdict | null;
  /** nobody is notified of it until then, in epoch seconds */
  readonly silencedUntilS: number | null;
  /** whether the message says what people said of it at all */
  readonly hasSayings: boolean;
  readonly forecast: Forecast | null;
  /** the name of the stage that it is about */
  readonly stage: string | null;
}

export type Verdict = "true" | "false";

export interface Command {
  readonly id: string;
  readonly run: string;
  readonly number: number;
  readonly kind: string;
  readonly args: Fields;
  readonly state: CommandState;
  readonly createdS: number | null;
  readonly actor: string;
  /** why, in the words of whoever gave it */
  readonly reason: string | null;
  readonly alert: string | null;
  readonly step: number | null;
  readonly old: Told;
  readonly new: Told;
  /** how many ranks applied it at that step */
  readonly ranks: number | null;
  /** what it brought about; null until that can be said */
  readonly effect: Effect | null;
  /** nobody applies it after this, in epoch seconds */
  readonly expiresS: number | null;
  readonly refusal: string | null;
  readonly history: readonly { readonly state: string; readonly atS: number | null }[];
}

export interface RunEvent {
  readonly step: number;
  readonly kind: string;
  readonly timeS: number | null;
  readonly data: Fields;
}

function componentOf(value: unknown): Component {
  const f = fields(value);
  const [low, high] = list(f["bounds"]);
  return {
    name: text(f["name"]),
    raw: numberOrNull(f["raw"]),
    weight: numberOrNull(f["weight"]),
    scheduledWeight: numberOrNull(f["scheduled_weight"]),
    contribution: numberOrNull(f["contribution"]),
    share: numberOrNull(f["share"]),
    low: numberOr(low, 0),
    high: numberOr(high, Infinity),
  };
}

/** `usual`: as docs/protocol.md has them where the script says nothing. */
function boundsOf(value: unknown, usual: Bounds): Bounds {
  const [low, high] = list(value);
  return [numberOr(low, usual[0]), numberOr(high, usual[1])];
}

export function stageOf(value: unknown): StageMark | null {
  const f = fieldsOrNull(value);
  if (f === null) return null;
  return { index: integerOrNull(f["index"]) ?? 0, name: text(f["name"]), start: integerOrNull(f["start"]) ?? 0 };
}

/** The trainer says -1 where there is none; a server may hand that on. */
function stepOrNull(value: unknown): number | null {
  const step = integerOrNull(value);
  return step !== null && step < 0 ? null : step;
}

export function runOf(value: unknown): Run {
  const f = fields(value);
  const alerts = fields(f["alerts"]);
  return {
    id: text(f["id"]),
    project: text(f["project"]),
    name: text(f["name"]),
    state: oneOf(f["state"], RUN_STATES, "waiting"),
    connected: f["connected"] === true,
    step: integerOrNull(f["step"]),
    stage: stageOf(f["stage"]),
    attempt: integerOrNull(f["attempt"]) ?? 0,
    device: text(f["device"]),
    stepsPerS: numberOrNull(f["steps_per_s"]),
    dataAgeS: numberOrNull(f["data_age_s"]),
    startedS: numberOrNull(f["started_s"]),
    health: oneOf(f["health"], HEALTHS, "unknown"),
    critical: integerOrNull(alerts["critical"]) ?? 0,
    warning: integerOrNull(alerts["warning"]) ?? 0,
    components: list(f["components"]).map(componentOf),
    total: numberOrNull(f["total"]),
    gradNorm: numberOrNull(f["grad_norm"]),
    gaps: integerOrNull(f["gaps"]) ?? list(f["gaps"]).length,
    pointsQueued: integerOrNull(f["points_queued"]) ?? 0,
    pointsDropped: integerOrNull(f["points_dropped"]) ?? 0,
    controls: texts(f["controls"]),
    lrScaleBounds: boundsOf(f["lr_scale_bounds"], [0, 10]),
    clipBounds: boundsOf(f["clip_bounds"], [1e-6, 1e6]),
    ranks: ranksOf(f["ranks"]),
    guard: guardOf(f["guard"]),
    trips: integerOrNull(f["trips"]) ?? 0,
    snapshotStep: stepOrNull(f["snapshot_step"]),
    detailUntil: stepOrNull(f["detail_until"]),
    label: text(f["label"]),
    note: text(f["note"]),
    tags: texts(f["tags"]),
    archived: f["archived"] === true,
    deletedS: numberOrNull(f["deleted_s"]),
  };
}

export function seriesInfoOf(value: unknown): SeriesInfo {
  const f = fields(value);
  const contract = fields(f["contract"]);
  return {
    name: text(f["name"]),
    unit: text(f["unit"]),
    lastStep: integerOrNull(f["last_step"]),
    low: numberOrNull(contract["low"]),
    high: numberOrNull(contract["high"]),
  };
}

export function remedyOf(value: unknown): Remedy | null {
  const f = fieldsOrNull(value);
  return f === null ? null : { kind: text(f["kind"]), args: fields(f["args"]), text: text(f["text"]) };
}

/** Parts of an evidence that are said in words, or drawn. */
const NOT_NUMBERS: readonly string[] = ["text", "values", "rolled_back_to"];

/** The numbers of an evidence that are no series, in the order in which the rule gave them. */
function evidenceNumbers(evidence: Fields): [string, number][] {
  const numbers: [string, number][] = [];
  for (const [name, value] of Object.entries(evidence)) {
    const number = NOT_NUMBERS.includes(name) ? null : numberOrNull(value);
    if (number !== null) numbers.push([name, number]);
  }
  return numbers;
}

export function alertOf(value: unknown): Alert {
  const f = fields(value);
  const evidence = fields(f["evidence"]);
  return {
    id: text(f["id"]),
    run: text(f["run"]),
    rule: text(f["rule"]),
    series: text(f["series"]),
    component: textOrNull(f["component"]),
    severity: oneOf(f["severity"], ["critical", "warning"], "warning"),
    state: oneOf(f["state"], ALERT_STATES, "firing"),
    step: integerOrNull(f["step"]) ?? 0,
    lastStep: integerOrNull(f["last_step"]),
    resolvedStep: integerOrNull(f["resolved_step"]),
    firedS: numberOrNull(f["fired_s"]),
    message: text(f["message"]),
    evidenceText: text(evidence["text"]),
    evidence: evidenceNumbers(evidence),
    values: list(evidence["values"]).map((pair) => [numberOr(list(pair)[0], 0), numberOr(list(pair)[1], NaN)] as const),
    origin: originOf(evidence["origin"]),
    rolledBackTo: integerOrNull(evidence["rolled_back_to"]),
    blame: blameOf(f["blame"]),
    remedy: remedyOf(f["remedy"]),
    incident: textOrNull(f["incident"]),
    verdict: f["verdict"] === "true" || f["verdict"] === "false" ? f["verdict"] : null,
    silencedUntilS: numberOrNull(f["silenced_until_s"]),
    hasSayings: Object.hasOwn(f, "verdict"),
    forecast: forecastOf(evidence["forecast"]),
    stage: textOrNull(evidence["stage"]),
  };
}

export function commandOf(value: unknown): Command {
  const f = fields(value);
  return {
    id: text(f["id"]),
    run: text(f["run"]),
    number: integerOrNull(f["number"]) ?? 0,
    kind: text(f["kind"]),
    args: fields(f["args"]),
    state: oneOf(f["state"], COMMAND_STATES, "queued"),
    createdS: numberOrNull(f["created_s"]),
    actor: text(f["actor"]),
    reason: textOrNull(f["reason"]),
    alert: textOrNull(f["alert"]),
    step: integerOrNull(f["step"]),
    old: toldOf(f["old"]),
    new: toldOf(f["new"]),
    ranks: integerOrNull(f["ranks"]),
    effect: effectOf(f["effect"]),
    expiresS: numberOrNull(f["expires_s"]),
    refusal: refusalOf(f["refusal"]),
    history: list(f["history"]).map((entry) => ({
      state: text(fields(entry)["state"]),
      atS: numberOrNull(fields(entry)["at_s"]),
    })),
  };
}

/** A refusal is a sentence, or the one shape of a refusal whose message is the sentence. */
function refusalOf(value: unknown): string | null {
  return textOrNull(value) ?? textOrNull(fields(value)["message"]);
}

export function eventOf(value: unknown): RunEvent {
  const f = fields(value);
  return {
    step: integerOrNull(f["step"]) ?? 0,
    kind: text(f["kind"]),
    timeS: numberOrNull(f["time_s"]),
    data: fields(f["data"]),
  };
}
