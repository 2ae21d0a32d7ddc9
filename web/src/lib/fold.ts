/**
 * Folds series to the pixels of a chart.
 *
 * Rules of this file:
 * - Series of one chart share one grid of pixel columns, because the renderer wants one x for all.
 * - A column keeps each series' lowest and highest value; a column with a non-finite value gives a mark, at every zoom.
 * - `null` is a value that cannot be drawn (the line breaks), `undefined` means no value at this step (it goes on).
 * - Where a series paused for long, as what is recorded in full detail only, and where steps never came, its line breaks
 *   too: nothing is known there.
 */
import { type Gap, isGapBetween } from "./gaps";
import { type SeriesBuffer, higher, lower } from "./series";
import { runningMeans } from "./smooth";

export interface Window {
  readonly from: number;
  readonly to: number;
}

export type Range =
  { readonly kind: "all" } | { readonly kind: "last"; readonly steps: number } | ({ readonly kind: "fixed" } & Window);

/** Whole steps, both of them in it. */
export interface StepRange {
  readonly from: number;
  readonly to: number;
}

/** The steps that lie within a window. */
export function stepsWithin({ from, to }: Window): StepRange {
  return { from: Math.ceil(from), to: Math.floor(to) };
}

/** What of the run's steps is on the screen; null while there is nothing. */
export function windowOf(range: Range, extent: readonly [number, number] | null): Window | null {
  if (range.kind === "fixed") return { from: range.from, to: range.to };
  if (extent === null) return null;
  const [first, last] = extent;
  const from = range.kind === "last" ? Math.max(first, last - range.steps + 1) : first;
  // One step is no interval; a chart of it needs some width.
  return { from, to: Math.max(last, from + 1) };
}

/** Narrower than this there is nothing more to see, and hardly a way back. */
const NARROWEST_STEPS = 4;

/** The range that a drag from one step to another asks for: whole steps, and not too few. */
export function zoomedTo(from: number, to: number): Range {
  const [low, high] = [Math.round(Math.min(from, to)), Math.round(Math.max(from, to))];
  const lacking = Math.max(0, NARROWEST_STEPS - (high - low));
  const start = Math.max(0, low - Math.floor(lacking / 2));
  return { kind: "fixed", from: start, to: Math.max(high, start + NARROWEST_STEPS) };
}

export interface Column {
  readonly low: Float64Array;
  readonly high: Float64Array;
  readonly last: Float64Array;
  /** sum and count of the finite values */
  readonly sum: Float64Array;
  readonly count: Float64Array;
  readonly flags: Uint8Array;
  /** ABSENT, PRESENT or BROKEN */
  readonly has: Uint8Array;
}

const ABSENT = 0;
export const PRESENT = 1;
const BROKEN = 2;

/** A gap narrower than a part of this of the series is no gap: it may be the spacing of buckets or of a sampling. */
const GAP_PART = 500;

export interface Folded {
  /** the first step of each column that holds anything */
  readonly steps: readonly number[];
  /** for each of them the step at which the series `pickBy` was highest */
  readonly picks: readonly number[];
  readonly series: readonly Column[];
  /** the position of each of them in `series`' arrays */
  readonly columns: readonly number[];
}

export interface NonFinite {
  readonly step: number;
  readonly series: number;
  readonly flags: number;
}

export type Values = (number | null | undefined)[];

export interface Frame {
  readonly x: number[];
  readonly ys: Values[];
  /** each series' mean a column, where columns stand for many steps or are smoothed; else empty */
  readonly centres: Values[];
  readonly nonFinite: readonly NonFinite[];
}

function emptyColumn(size: number): Column {
  const nan = (): Float64Array => new Float64Array(size).fill(NaN);
  return {
    low: nan(),
    high: nan(),
    last: nan(),
    sum: new Float64Array(size),
    count: new Float64Array(size),
    flags: new Uint8Array(size),
    has: new Uint8Array(size),
  };
}

/** The grid of columns: `count` of them over `span` steps from the first one. */
export function cellsOf(window: Window, width: number): { from: number; span: number; count: number } {
  const from = Math.floor(window.from);
  const span = Math.max(1, Math.ceil(window.to) - from + 1);
  return { from, span, count: Math.max(1, Math.min(span, Math.floor(width))) };
}

/**
 * Folds `buffers` within `window` to at most `width` columns, and one more on either side for the neighbours just
 * outside, so that lines run to the edge. Steps are integers: a window of fewer steps than pixels has a column a step.
 * A line breaks where more than `gapSteps` lie between two points (null: never), and at the gaps of the run.
 */
export function fold(
  buffers: readonly (SeriesBuffer | undefined)[],
  window: Window,
  width: number,
  gapSteps: number | null = null,
  gaps: readonly Gap[] = [],
  pickBy = 0,
): Folded {
  const { from, span, count } = cellsOf(window, width);
  const first = new Float64Array(count + 2).fill(Infinity);
  const picks = new Float64Array(count + 2).fill(NaN);
  const cellOf = (step: number): number =>
    1 + Math.max(-1, Math.min(count, Math.floor(((step - from) * count) / span)));
  const series = buffers.map((buffer, index) => {
    const column = emptyColumn(count + 2);
    if (buffer === undefined) return column;
    const start = Math.max(0, buffer.indexFrom(from) - 1);
    const end = Math.min(buffer.length, buffer.indexFrom(from + span) + 1);
    const widest = Math.max(gapSteps ?? Infinity, (buffer.lastStep() - buffer.firstStep()) / GAP_PART);
    let before = buffer.steps[start] ?? 0;
    for (let at = start; at < end; at += 1) {
      const step = buffer.steps[at] ?? 0;
      const cell = cellOf(step);
      const broken = cellOf(before) + 1;
      const isBroken = step - before > widest || (step - before > 1 && isGapBetween(gaps, before, step));
      if (isBroken && broken < cell) {
        column.has[broken] = BROKEN;
        first[broken] = Math.min(first[broken] ?? Infinity, Math.max(before + 1, from));
      }
      before = step;
      const high = buffer.highs[at] ?? NaN;
      if (index === pickBy && !((column.high[cell] ?? NaN) >= high)) picks[cell] = step;
      if (step < (first[cell] ?? Infinity)) first[cell] = step;
      column.low[cell] = lower(column.low[cell] ?? NaN, buffer.lows[at] ?? NaN);
      column.high[cell] = higher(column.high[cell] ?? NaN, high);
      column.last[cell] = buffer.lasts[at] ?? NaN;
      addMean(column, cell, buffer, at);
      column.flags[cell] = (column.flags[cell] ?? 0) | (buffer.flags[at] ?? 0);
      column.has[cell] = PRESENT;
    }
    return column;
  });
  const columns = [...first.keys()].filter((cell) => first[cell] !== Infinity);
  const steps = columns.map((cell) => first[cell] ?? 0);
  return {
    steps,
    columns,
    series,
    picks: columns.map((cell, i) => (Number.isNaN(picks[cell] ?? NaN) ? (steps[i] ?? 0) : (picks[cell] ?? 0))),
  };
}

function addMean(column: Column, cell: number, buffer: SeriesBuffer, at: number): void {
  const count = buffer.counts[at] ?? 0;
  if (count === 0) return;
  column.sum[cell] = (column.sum[cell] ?? 0) + (buffer.means[at] ?? 0) * count;
  column.count[cell] = (column.count[cell] ?? 0) + count;
}

export function marksOf(folded: Folded): NonFinite[] {
  const marks: NonFinite[] = [];
  folded.series.forEach((column, series) => {
    folded.columns.forEach((cell, i) => {
      const flags = column.flags[cell] ?? 0;
      if (flags !== 0) marks.push({ step: folded.steps[i] ?? 0, series, flags });
    });
  });
  return marks;
}

/** Whether any column covers more than one value, so that it needs two places: its low and its high. */
export function hasSpread(folded: Folded): boolean {
  return folded.series.some((column) =>
    folded.columns.some((cell) => (column.low[cell] ?? 0) < (column.high[cell] ?? 0)),
  );
}

/** The two ends of a column, in the order that leaves the line nearest to the column's last value. */
function ends(column: Column, cell: number): readonly [number, number] {
  const low = column.low[cell] ?? NaN;
  const high = column.high[cell] ?? NaN;
  const last = column.last[cell] ?? NaN;
  return Math.abs(last - low) < Math.abs(last - high) ? [high, low] : [low, high];
}

function drawable(value: number, isLog: boolean): number | null {
  return Number.isNaN(value) || (isLog && value <= 0) ? null : value;
}

/** The mean of every column, or of `smoothSteps` steps about it. */
function meansOf(column: Column, { columns, steps }: Folded, smoothSteps: number): number[] {
  const sum = columns.map((cell) => column.sum[cell] ?? 0);
  const count = columns.map((cell) => column.count[cell] ?? 0);
  if (smoothSteps === 0) return sum.map((one, i) => ((count[i] ?? 0) > 0 ? one / (count[i] ?? 1) : NaN));
  return runningMeans({ steps, sum, count, isBroken: columns.map((cell) => column.has[cell] === BROKEN) }, smoothSteps);
}

function centreOf(column: Column, folded: Folded, spread: boolean, isLog: boolean, smoothSteps: number): Values {
  const means = meansOf(column, folded, smoothSteps);
  const values: Values = [];
  folded.columns.forEach((cell, i) => {
    const value = column.has[cell] === ABSENT ? undefined : drawable(means[i] ?? NaN, isLog);
    values.push(value);
    if (spread) values.push(value);
  });
  return values;
}

/**
 * Lines: each series' low and high in every column; when `hasCentres`, its mean too, of the column or of `smoothSteps`
 * steps. On a log axis what is not above 0 cannot be drawn.
 */
export function lines(folded: Folded, isLog: boolean, hasCentres = false, smoothSteps = 0): Frame {
  const spread = hasSpread(folded);
  const x = spread ? folded.steps.flatMap((step) => [step, step]) : [...folded.steps];
  const ys = folded.series.map((column) => {
    const values: Values = [];
    for (const cell of folded.columns) {
      const isAbsent = column.has[cell] === ABSENT;
      const [a, b] = ends(column, cell);
      values.push(isAbsent ? undefined : drawable(a, isLog));
      if (spread) values.push(isAbsent ? undefined : drawable(b, isLog));
    }
    return values;
  });
  const centres = hasCentres ? folded.series.map((one) => centreOf(one, folded, spread, isLog, smoothSteps)) : [];
  return { x, ys, centres, nonFinite: marksOf(folded) };
}

/**
 * A stack: series 0 stays a line (the total, low and high); the others are heaped in order, each at the step of the
 * column at which series 0 was highest. So the areas of a column belong to one step, and no spike of the total is lost.
 */
export function stack(folded: Folded, buffers: readonly (SeriesBuffer | undefined)[]): Frame {
  const flat = lines(folded, false);
  const spread = flat.x.length > folded.steps.length;
  const sums = new Float64Array(folded.picks.length);
  const heaped = buffers.slice(1).map((buffer) => {
    const values: Values = [];
    folded.picks.forEach((step, i) => {
      sums[i] = (sums[i] ?? 0) + (buffer?.highAt(step) ?? 0);
      values.push(sums[i]);
      if (spread) values.push(sums[i]);
    });
    return values;
  });
  return { ...flat, ys: [flat.ys[0] ?? [], ...heaped] };
}
