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
import type { SeriesBuffer } from "./series";
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

/** A column has two places, its low and its high: one of a single pixel would not show them side by side. */
const FOLDED_PX = 2;

/** The grid of columns, `count` of them over `span` steps from the first one: a column a step where there is room. */
export function cellsOf(window: Window, width: number): { from: number; span: number; count: number } {
  const from = Math.floor(window.from);
  const span = Math.max(1, Math.ceil(window.to) - from + 1);
  return { from, span, count: span <= width ? span : Math.max(1, Math.floor(width / FOLDED_PX)) };
}

/** Whether a column stands for several steps. */
export function isFolded(window: Window, width: number): boolean {
  const { span, count } = cellsOf(window, width);
  return count < span;
}

/**
 * Folds `buffers` within `window` to the columns of `width` pixels, and one more on either side for the neighbours just
 * outside, so that lines run to the edge. Steps are integers: a window of fewer steps than pixels has a column a step.
 * A line breaks where more than `gapSteps` lie between two points (null: never), and at the gaps of the run.
 * With `behind` only the columns from a few before that step on: what comes behind it changes no others.
 */
export function fold(
  buffers: readonly (SeriesBuffer | undefined)[],
  window: Window,
  width: number,
  gapSteps: number | null = null,
  gaps: readonly Gap[] = [],
  behind: number | null = null,
): Folded {
  const cells = cellsOf(window, width);
  const skipped = behind === null ? 0 : columnsBefore(cells, behind, width);
  const size = cells.count - skipped + 2;
  const first = new Float64Array(size).fill(Infinity);
  const series = buffers.map((buffer) => {
    const column = emptyColumn(size);
    if (buffer === undefined) return column;
    const widest = Math.max(gapSteps ?? Infinity, (buffer.lastStep() - buffer.firstStep()) / GAP_PART);
    foldInto(column, buffer, { ...cells, widest, gaps, first, skipped });
    return column;
  });
  const columns = [...first.keys()].filter((cell) => first[cell] !== Infinity);
  return { steps: columns.map((cell) => first[cell] ?? 0), columns, series };
}

/** So far before what changes: neighbours of neighbours are seen in it, and where a dash begins (charts/uplotSeries.ts). */
const MARGIN_PX = 72;

/** How many columns need not be folded when only what comes behind `step` has changed. */
function columnsBefore({ from, span, count }: ReturnType<typeof cellsOf>, step: number, width: number): number {
  const cell = Math.floor(((step - from) * count) / span) - Math.ceil((MARGIN_PX * count) / width);
  return Math.max(0, Math.min(count, cell));
}

interface Grid {
  readonly from: number;
  readonly span: number;
  readonly count: number;
  /** steps between two points that break a line */
  readonly widest: number;
  readonly gaps: readonly Gap[];
  /** each column's first step, over all series */
  readonly first: Float64Array;
  /** so many columns at the beginning are left out */
  readonly skipped: number;
}

/** Column by column, with sums in locals: some hundred thousand entries a redraw pass here. */
function foldInto(column: Column, buffer: SeriesBuffer, grid: Grid): void {
  const { from, span, count, first, skipped } = grid;
  const { steps, lows, highs, means, counts, lasts, flags: kinds } = buffer;
  const end = Math.min(buffer.length, buffer.indexFrom(from + span) + 1);
  const start = from + Math.ceil((skipped * span) / count);
  let at = Math.max(0, buffer.indexFrom(start) - 1);
  let [before, beforeCell] = [steps[at] ?? 0, 0];
  while (at < end) {
    const step = steps[at] ?? 0;
    const cell = Math.max(0, 1 - skipped + Math.min(count, Math.floor(((step - from) * count) / span)));
    if (beforeCell + 1 < cell && isBroken(before, step, grid)) {
      column.has[beforeCell + 1] = BROKEN;
      first[beforeCell + 1] = Math.min(first[beforeCell + 1] ?? Infinity, Math.max(before + 1, from));
    }
    const limit = cell > count - skipped ? Infinity : from + Math.ceil(((cell + skipped) * span) / count);
    let [low, high, sum, finite, flags] = [NaN, NaN, 0, 0, 0];
    do {
      const [least, most, here] = [lows[at] ?? NaN, highs[at] ?? NaN, counts[at] ?? 0];
      if (!(least >= low) && !Number.isNaN(least)) low = least;
      if (!(most <= high) && !Number.isNaN(most)) high = most;
      if (here > 0) sum += (means[at] ?? 0) * here;
      finite += here;
      flags |= kinds[at] ?? 0;
      at += 1;
    } while (at < end && (steps[at] ?? 0) < limit);
    if (step < (first[cell] ?? Infinity)) first[cell] = step;
    column.low[cell] = low;
    column.high[cell] = high;
    column.last[cell] = lasts[at - 1] ?? NaN;
    column.sum[cell] = sum;
    column.count[cell] = finite;
    column.flags[cell] = flags;
    column.has[cell] = PRESENT;
    before = steps[at - 1] ?? 0;
    beforeCell = cell;
  }
}

function isBroken(before: number, step: number, { widest, gaps }: Grid): boolean {
  return step - before > widest || (step - before > 1 && isGapBetween(gaps, before, step));
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
  for (const { low, high } of folded.series)
    for (const cell of folded.columns) if ((low[cell] ?? 0) < (high[cell] ?? 0)) return true;
  return false;
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

function doubled(steps: readonly number[]): number[] {
  const found: number[] = [];
  for (const step of steps) found.push(step, step);
  return found;
}

/**
 * Lines: each series' low and high in every column; when `hasCentres`, its mean too, of the column or of `smoothSteps`
 * steps. On a log axis what is not above 0 cannot be drawn.
 */
export function lines(folded: Folded, isLog: boolean, hasCentres = false, smoothSteps = 0): Frame {
  const spread = hasSpread(folded);
  const x = spread ? doubled(folded.steps) : [...folded.steps];
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

/** A part of a whole in one column: its mean there, else its value in force; NaN where that is not finite, 0 before it. */
export function partIn(column: Column | undefined, cell: number, buffer: SeriesBuffer | undefined, step: number): number {
  const count = column?.count[cell] ?? 0;
  if (column !== undefined && count > 0) return (column.sum[cell] ?? 0) / count;
  if (buffer === undefined || buffer.indexAt(step) < 0) return 0;
  return column?.has[cell] === PRESENT ? NaN : (buffer.meanAt(step) ?? NaN);
}

/**
 * A stack: series 0 stays a line (the total, low and high, and its mean when `hasCentre`); the others are heaped in order
 * as their means, which add up to the total's. What is not finite is heaped as nothing, and has its mark.
 */
export function stack(folded: Folded, buffers: readonly (SeriesBuffer | undefined)[], hasCentre = false): Frame {
  const total = lines({ ...folded, series: folded.series.slice(0, 1) }, false, hasCentre);
  const isPaired = total.x.length > folded.steps.length;
  const sums = new Float64Array(folded.steps.length);
  const heaped = buffers.slice(1).map((buffer, part) => {
    const values: Values = [];
    folded.columns.forEach((cell, i) => {
      const size = partIn(folded.series[part + 1], cell, buffer, folded.steps[i] ?? 0);
      const sum = (sums[i] ?? 0) + (Number.isNaN(size) ? 0 : size);
      sums[i] = sum;
      values.push(sum);
      if (isPaired) values.push(sum);
    });
    return values;
  });
  return { ...total, ys: [total.ys[0] ?? [], ...heaped], nonFinite: marksOf(folded) };
}
