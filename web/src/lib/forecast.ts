/**
 * What a rule foretells: a quantity that grows by a constant factor a step, and a stage that is still to come.
 *
 * Rules of this file: pure; steps are of the run. What is foretold is told against the run's step of now, not against
 * that of the message, which grows old.
 */
import { type Fields, fieldsOrNull, list, numberOrNull } from "./decode";
import { duration, short, step as stepText } from "./format";
import type { Alert, Run, StageMark } from "./models";

/** Between which steps, and the likeliest. */
export interface Span {
  readonly low: number;
  readonly middle: number;
  readonly high: number;
}

export interface Forecast {
  readonly doublesEverySteps: number | null;
  readonly threshold: number | null;
  readonly thresholdStep: Span | null;
  readonly overflowStep: Span | null;
  /** where the growth itself grows: the most steps until it overflows */
  readonly overflowWithinSteps: number | null;
}

function spanOf(value: unknown): Span | null {
  const [low, middle, high] = list(value).map(numberOrNull);
  return low == null || middle == null || high == null ? null : { low, middle, high };
}

export function forecastOf(value: unknown): Forecast | null {
  const f: Fields | null = fieldsOrNull(value);
  if (f === null) return null;
  return {
    doublesEverySteps: numberOrNull(f["doubles_every_steps"]),
    threshold: numberOrNull(f["threshold"]),
    thresholdStep: spanOf(f["threshold_step"]),
    overflowStep: spanOf(f["overflow_step"]),
    overflowWithinSteps: numberOrNull(f["overflow_within_steps"]),
  };
}

function between({ low, high }: Span): string {
  return low === high ? `at step ${stepText(low)}` : `at step ${stepText(low)} to ${stepText(high)}`;
}

/** "doubles every 90 steps; crosses 5 at step 10 400 to 10 900; overflows at step 19 000 to 23 000"; empty: nothing. */
export function forecastText(forecast: Forecast): string {
  const { doublesEverySteps, threshold, thresholdStep, overflowStep, overflowWithinSteps } = forecast;
  const parts: string[] = [];
  if (doublesEverySteps !== null && Number.isFinite(doublesEverySteps))
    parts.push(`doubles every ${short(doublesEverySteps, 3)} steps`);
  if (threshold !== null && thresholdStep !== null)
    parts.push(`crosses ${short(threshold)} ${between(thresholdStep)}`);
  if (overflowStep !== null) parts.push(`overflows ${between(overflowStep)}`);
  else if (overflowWithinSteps !== null)
    parts.push(`grows faster and faster; overflows within ${stepText(Math.max(1, overflowWithinSteps))} steps`);
  return parts.join("; ");
}

/** Of several alerts the one whose forecast counts: the newest open one that has any. */
export function foretelling(alerts: readonly Alert[]): Alert | null {
  const telling = alerts.filter((alert) => alert.forecast !== null && alert.state !== "resolved");
  return telling.reduce<Alert | null>((a, b) => (a === null || b.step > a.step ? b : a), null);
}

/** The stage that an alert is about before it begins; null where it is about none. */
export function stageAhead(alert: Alert, stages: readonly StageMark[]): StageMark | null {
  if (alert.stage === null) return null;
  // Names may be given twice; the one that the rule saw coming lies behind the alert's first step.
  return (
    [...stages]
      .sort((a, b) => a.start - b.start)
      .find((stage) => stage.name === alert.stage && stage.start > alert.step) ?? null
  );
}

/** "Stage 2: spectrum begins in 1 200 steps (about 30 s), at step 9 850." */
export function aheadText(stage: StageMark, run: Run): string {
  const name = /^\d/.test(stage.name) ? `Stage ${stage.name}` : `Stage “${stage.name}”`;
  if (isRunOver(run) && !((run.step ?? -1) >= stage.start)) return `${name} was not reached: the run is over.`;
  if (!Number.isFinite(stage.start)) return `${name} waits: the present stage is held.`;
  const at = `at step ${stepText(stage.start)}`;
  const left = stage.start - (run.step ?? 0);
  if (left > 0) return `${name} begins in ${counted(left)}${timeTo(left, run)}, ${at}.`;
  return left === 0 ? `${name} begins now.` : `${name} began ${at}, ${counted(-left)} ago.`;
}

/** Here and not from state.ts, which knows alerts, which know this. */
function isRunOver({ state }: Run): boolean {
  return state === "finished" || state === "stopped" || state === "crashed";
}

function counted(steps: number): string {
  return `${stepText(steps)} ${steps === 1 ? "step" : "steps"}`;
}

/** Below this nobody reads the sentence before it is over. */
const WORTH_S = 10;

function timeTo(steps: number, { state, stepsPerS }: Run): string {
  const seconds = state === "running" && stepsPerS !== null && stepsPerS > 0 ? steps / stepsPerS : null;
  return seconds === null || seconds < WORTH_S ? "" : ` (about ${duration(seconds)})`;
}

/** How the rule begins its message; an older server's counts the steps from where it spoke, which has passed. */
const AHEAD_THEN = /^Stage .+? begins (?:in [\d,]+ steps?, )?at step [\d,]+\. (?=\S)/;

/** The rest of a message about a coming stage, which is told in steps from now beside it. */
export function withoutAhead(message: string): string {
  return message.replace(AHEAD_THEN, "");
}
