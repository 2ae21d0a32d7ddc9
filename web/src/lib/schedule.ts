/**
 * The schedule that is in force: its stages, where its clock is, and what will change by itself.
 *
 * Rules of this file: pure; the server computes the schedule (its plan is the trainer's own), here it is read and said.
 */
import {
  type Fields,
  fields,
  fieldsOrNull,
  integerOrNull,
  list,
  numberOrNull,
  text,
  textOrNull,
  texts,
} from "./decode";
import { STEERING, deedText } from "./deeds";
import { step } from "./format";
import type { Command, RunEvent, StageMark } from "./models";
import { withoutTerms } from "./terms";

export interface StageAhead {
  readonly name: string;
  /** where the curriculum declares it */
  readonly start: number;
  /** the step at which it will begin; null: it began, or never will as things are */
  readonly beginsAt: number | null;
}

export interface Hold {
  readonly since: number | null;
  /** null: until it is released */
  readonly until: number | null;
}

export interface Change {
  readonly step: number;
  readonly text: string;
}

export interface Schedule {
  readonly version: number;
  readonly step: number | null;
  /** the step of the curriculum whose stage and ramps are in force */
  readonly position: number | null;
  readonly held: Hold | null;
  readonly stages: readonly StageAhead[];
  readonly weights: Readonly<Record<string, number>>;
  /** components that take no part; null where the server does not say */
  readonly gated: ReadonlySet<string> | null;
  readonly lrScale: number | null;
  readonly clip: number | null;
  readonly changes: readonly Change[];
}

export function scheduleOf(value: unknown): Schedule {
  const f = fields(value);
  const stages = list(f["stages"]).map(stageAheadOf);
  const operations = list(f["operations"]).map(operationOf);
  return {
    version: integerOrNull(f["version"]) ?? 0,
    step: integerOrNull(f["step"]),
    position: integerOrNull(f["position"]),
    held: holdOf(f["held"]),
    stages,
    weights: numbersOf(f["weights"]),
    gated: Array.isArray(f["gated"]) ? new Set(texts(f["gated"])) : null,
    lrScale: numberOrNull(f["lr_scale"]),
    clip: numberOrNull(f["clip"]),
    changes: list(f["changes"]).map((change) => changeOf(change, stages, operations)),
  };
}

function stageAheadOf(value: unknown): StageAhead {
  const f = fields(value);
  return { name: text(f["name"]), start: integerOrNull(f["start"]) ?? 0, beginsAt: integerOrNull(f["begins_at"]) };
}

function holdOf(value: unknown): Hold | null {
  if (value === true) return { since: null, until: null };
  const f = fieldsOrNull(value);
  return f === null ? null : { since: integerOrNull(f["since"]), until: integerOrNull(f["until"]) };
}

function numbersOf(value: unknown): Record<string, number> {
  return Object.fromEntries(
    Object.entries(fields(value)).flatMap(([name, one]) => {
      const number = numberOrNull(one);
      return number === null ? [] : [[name, number] as const];
    }),
  );
}

/** A step, or a step with what is said of it; what is not said follows from the stages and the operations. */
function changeOf(value: unknown, stages: readonly StageAhead[], operations: readonly Operation[]): Change {
  const f = fields(value);
  const at = integerOrNull(f["step"] ?? value) ?? 0;
  const told = textOrNull(f["text"]);
  return { step: at, text: told ?? (causesOf(at, stages, operations).join("; ") || "weights change") };
}

function causesOf(at: number, stages: readonly StageAhead[], operations: readonly Operation[]): string[] {
  const begun = stages.filter((stage) => stage.beginsAt === at).map((stage) => `stage ${stage.name} begins`);
  const ends = operations.flatMap(({ step: done, kind, args }) => {
    const what = deedText(kind, withoutTerms(args));
    return [
      ...(done + (numberOrNull(args["ramp_steps"]) ?? NaN) === at ? [`${what}: the ramp arrives`] : []),
      ...(done + (numberOrNull(args["lease_steps"]) ?? NaN) === at ? [`${what}: ends by itself`] : []),
    ];
  });
  return [...begun, ...ends];
}

interface Operation {
  readonly step: number;
  readonly kind: string;
  readonly args: Fields;
}

/** As a row or by name. */
function operationOf(value: unknown): Operation {
  const [step, , kind, args] = list(value);
  const f = Array.isArray(value) ? { step, kind, args } : fields(value);
  return { step: integerOrNull(f["step"]) ?? 0, kind: text(f["kind"]), args: fields(f["args"]) };
}

/** Where the clock is: the index of the stage in force; -1 before the first. */
export function stageNow({ stages, position }: Schedule): number {
  return stages.findLastIndex((stage) => stage.start <= (position ?? -1));
}

/** "held since step 600 until step 800"; empty where it is not. */
export function holdText(held: Hold | null): string {
  if (held === null) return "";
  const since = held.since === null ? "" : ` since step ${step(held.since)}`;
  return `held${since} ${held.until === null ? "until it is released" : `until step ${step(held.until)}`}`;
}

/** When a stage will begin, or that it did; `isOver`: the run has ended, and nothing begins any more. */
export function beginsText(schedule: Schedule, index: number, isOver = false): string {
  const stage = schedule.stages[index];
  const now = stageNow(schedule);
  if (stage === undefined) return "";
  if (isOver) return index === now ? "the last" : index < now ? "over" : "not reached";
  if (index === now) return schedule.held === null ? "now" : "now, held";
  if (index < now) return "over";
  if (stage.beginsAt !== null) return `at step ${step(stage.beginsAt)}`;
  return schedule.held === null ? "does not begin" : "waits for the release";
}

/** The changes, as lines: those of one step together. */
export function changeLines(schedule: Schedule, most: number): { lines: Change[]; more: number } {
  const byStep = new Map<number, string[]>();
  for (const { step: at, text: said } of schedule.changes) byStep.set(at, [...(byStep.get(at) ?? []), said]);
  const lines = [...byStep].sort(([a], [b]) => a - b).map(([at, said]) => ({ step: at, text: said.join("; ") }));
  return { lines: lines.slice(0, most), more: Math.max(0, lines.length - most) };
}

/** Changes whenever the schedule does: what was applied, and where the run went back or on from a checkpoint. */
export function scheduleMark(commands: readonly Command[], events: readonly RunEvent[]): string {
  const done = commands.filter(({ kind, state }) => state === "applied" && STEERING.has(kind));
  const moved = events.filter(({ kind }) => kind === "rollback" || kind === "resume");
  return `${done.length} ${done[0]?.id ?? ""} ${moved.length} ${moved.at(-1)?.timeS ?? ""}`;
}

/**
 * The declared stages with the steps at which they began or will begin, by the trainer's word and the schedule's;
 * Infinity: not as long as the present one is held.
 */
export function stagesAsTheyCome(
  stages: readonly StageMark[],
  schedule: Schedule | null,
  events: readonly RunEvent[],
): StageMark[] {
  const now = schedule === null ? -1 : stageNow(schedule);
  return stages.map((stage, i) => {
    const ahead = schedule?.stages[i];
    if (schedule === null || ahead?.name !== stage.name) return stage;
    if (ahead.beginsAt !== null) return { ...stage, start: ahead.beginsAt };
    if (i > now && schedule.held !== null) return { ...stage, start: Infinity };
    const began = events.findLast((event) => event.kind === "stage" && event.data["index"] === stage.index);
    return { ...stage, start: began?.step ?? stage.start };
  });
}
