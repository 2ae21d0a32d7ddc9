/**
 * The ranks of a run: how long each takes for a step, who holds the others up, and who is not finite since when.
 *
 * Rules of this file: pure; the server says who is slow; a rank that says nothing is said as such, never as fast.
 */
import { fields, integerOrNull, list, numberOrNull } from "./decode";
import { duration, short, step } from "./format";

export interface Rank {
  readonly rank: number;
  /** the newest step that is known of it */
  readonly step: number | null;
  /** seconds a step takes it, and those of them that it waits for data */
  readonly stepS: number | null;
  readonly dataWaitS: number | null;
  readonly isStraggler: boolean;
  /** the first step at which something of it was not finite */
  readonly firstBadStep: number | null;
}

/** By rank; a run of one process has at most one. */
export function ranksOf(value: unknown): Rank[] {
  return list(value).map((each) => {
    const f = fields(each);
    return {
      rank: integerOrNull(f["rank"]) ?? 0,
      step: integerOrNull(f["step"]),
      stepS: numberOrNull(f["step_time_s"]),
      dataWaitS: numberOrNull(f["data_wait_s"]),
      isStraggler: f["is_straggler"] === true,
      firstBadStep: integerOrNull(f["first_bad_step"]),
    };
  });
}

export function timeText(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return "no step time yet";
  return seconds < 1 ? `${short(seconds * 1000, 3)} ms` : duration(seconds);
}

/** "rank 2 is a straggler: 35 ms a step, 1.7 times the median, 20 ms of them waiting for data". */
export function stragglerText(slow: Rank, ranks: readonly Rank[]): string {
  const usual = medianOf(ranks.flatMap((one) => (one.stepS === null ? [] : [one.stepS])));
  const times = slow.stepS === null || !(usual > 0) ? "" : `, ${short(slow.stepS / usual, 2)} times the median`;
  const waits =
    slow.dataWaitS !== null && slow.stepS !== null && slow.dataWaitS > slow.stepS / 4
      ? `, ${timeText(slow.dataWaitS)} of them waiting for data`
      : "";
  return `rank ${slow.rank} is a straggler: ${timeText(slow.stepS)} a step${times}${waits}`;
}

/** The middle one, the lower of two. */
function medianOf(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;
}

/** The rank on which something was not finite first; null where nothing was. */
export function firstBadOf(ranks: readonly Rank[]): Rank | null {
  return ranks.reduce<Rank | null>((first, one) => {
    if (one.firstBadStep === null) return first;
    return first?.firstBadStep == null || one.firstBadStep < first.firstBadStep ? one : first;
  }, null);
}

/**
 * Since when which ranks were not finite, the first on top: "rank 1: not finite since step 30". Those of one step stand
 * together, because which of them was the cause cannot be told apart then.
 */
export function notFiniteTexts(ranks: readonly Rank[]): string[] {
  const bad = ranks.flatMap((one) => (one.firstBadStep === null ? [] : [{ rank: one.rank, since: one.firstBadStep }]));
  const sinces = [...new Set(bad.map((one) => one.since))].sort((a, b) => a - b);
  return sinces.map((since) => {
    const who = bad.filter((one) => one.since === since).map((one) => one.rank);
    const named = who.slice(0, NAMED).join(", ") + (who.length > NAMED ? ` and ${who.length - NAMED} more` : "");
    return `rank${who.length > 1 ? "s" : ""} ${named}: not finite since step ${step(since)}`;
  });
}

/** So many are read at a glance. */
const NAMED = 8;

/** Whether rank 0, the only one that charts show, was finite all the while. */
export function isUnshown(ranks: readonly Rank[]): boolean {
  return firstBadOf(ranks) !== null && !ranks.some((one) => one.rank === 0 && one.firstBadStep !== null);
}
