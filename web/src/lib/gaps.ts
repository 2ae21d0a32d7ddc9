/**
 * Gaps: steps of the run that never came, because a queue was full, a disk was, or the run went on from a later step.
 *
 * Rules of this file: pure. What the trainer or the server told is believed, with its reason; what nobody told shows as a
 * place where the total pauses for at least a point more than it does nearby. A bucket with a non-finite value does not
 * say how many points it holds: no gap is claimed there.
 */
import { integerOrNull, text } from "./decode";
import { step as stepText } from "./format";
import type { RunEvent } from "./models";
import type { SeriesBuffer } from "./series";

/** Whole steps, both of them missing, or some between them. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  /** about how many steps never came */
  readonly steps: number;
  /** empty where nobody said why */
  readonly reason: string;
}

/** The rate of so many entries on either side says what is usual here. */
const NEIGHBOURS = 4;
/** Of a bucket the number of points wavers by one. */
const BUCKET_SLACK = 1.5;

/** The gaps in the steps of `clock`, a series that is logged at every step of the run or at every n-th. */
export function pausesOf(clock: SeriesBuffer | undefined): Gap[] {
  if (clock === undefined) return [];
  const rateOf = (at: number): number =>
    ((clock.steps[at + 1] ?? 0) - (clock.steps[at] ?? 0)) / Math.max(1, clock.counts[at] ?? 1);
  const gaps: Gap[] = [];
  for (let at = 0; at + 1 < clock.length; at += 1) {
    const step = clock.steps[at] ?? 0;
    const next = clock.steps[at + 1] ?? 0;
    if (next - step < 2 || (clock.flags[at] ?? 0) !== 0) continue;
    const points = Math.max(1, clock.counts[at] ?? 1);
    if (at > 0 && rateOf(at) <= rateOf(at - 1) * 1.05) continue;
    const usual = usualRate(at, clock.length - 1, rateOf);
    const missing = next - step - points * usual;
    if (usual === 0 || missing < usual * (points > 1 ? BUCKET_SLACK : 1)) continue;
    gaps.push({ from: Math.round(step + points * usual), to: next - 1, steps: Math.round(missing), reason: "" });
  }
  return gaps;
}

/** The upper median of the rates nearby; 0 where there are too few to know. */
function usualRate(at: number, end: number, rateOf: (at: number) => number): number {
  const rates: number[] = [];
  for (let near = Math.max(0, at - NEIGHBOURS); near <= Math.min(end - 1, at + NEIGHBOURS); near += 1)
    if (near !== at) rates.push(rateOf(near));
  if (rates.length < 2) return 0;
  return rates.sort((a, b) => a - b)[Math.floor(rates.length / 2)] ?? 0;
}

/** What the trainer or the server told. */
export function toldGaps(events: readonly RunEvent[]): Gap[] {
  return events.flatMap((event) => {
    const from = integerOrNull(event.data["from"]);
    const to = integerOrNull(event.data["to"]);
    if (event.kind !== "gap" || from === null || to === null || to < from) return [];
    return [{ from, to, steps: to - from + 1, reason: text(event.data["reason"]) }];
  });
}

/** Some steps that are known in more detail than the others. */
export interface Closer {
  readonly from: number;
  readonly to: number;
  readonly clock: SeriesBuffer | undefined;
}

/** All gaps by step; a pause within a gap that was told is that gap; where there is detail, it is looked at there. */
export function gapsOf(events: readonly RunEvent[], clock: SeriesBuffer | undefined, closer?: Closer): Gap[] {
  const told = toldGaps(events);
  const isCloser = (gap: Gap): boolean =>
    closer?.clock !== undefined && closer.from <= gap.from && gap.to <= closer.to;
  const pauses = [...pausesOf(clock).filter((gap) => !isCloser(gap)), ...pausesOf(closer?.clock)];
  const untold = pauses.filter((gap) => !told.some((one) => one.from <= gap.to && gap.from <= one.to));
  return [...told, ...untold].sort((a, b) => a.from - b.from);
}

/** Whether steps are missing between the points `before` and `step`. */
export function isGapBetween(gaps: readonly Gap[], before: number, step: number): boolean {
  return gaps.some((gap) => gap.from > before && gap.to < step);
}

/** "2 gaps: 63 steps never came"; empty where there is none. */
export function gapsText(gaps: readonly Gap[]): string {
  const steps = gaps.reduce((sum, gap) => sum + gap.steps, 0);
  if (steps === 0) return "";
  return `${gaps.length === 1 ? "1 gap" : `${gaps.length} gaps`}: ${stepText(steps)} ${steps === 1 ? "step" : "steps"} never came`;
}

/** The series that tells which steps there are: the total, else whichever has the most entries. */
export function clockOf(buffers: ReadonlyMap<string, SeriesBuffer>): SeriesBuffer | undefined {
  const total = buffers.get("loss/total");
  if (total !== undefined && total.length > 0) return total;
  return [...buffers.values()].reduce<SeriesBuffer | undefined>(
    (most, buffer) => (buffer.length > (most?.length ?? 0) ? buffer : most),
    undefined,
  );
}
