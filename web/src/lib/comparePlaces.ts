/**
 * Puts a run's buckets where they stand on the axis that it shares with others.
 *
 * Rules of this file: pure. Places are whole ticks, because charts fold whole numbers: steps, or milliseconds where
 * the axis is time. Buckets that fall on one tick are one; no extreme and no non-finite value is lost by that.
 */
import type { Buckets } from "./buckets";
import type { Axis, Places } from "./compare";
import { higher, lower } from "./series";

/** How many ticks one unit of the axis is. */
export function ticksOf(axis: Axis): number {
  return axis === "time" ? 1000 : 1;
}

/** Where a step stands, in units of the axis. */
export function placeOf(places: Places, step: number): number {
  const at = Math.max(0, lastAtOrBefore(places.steps, step));
  return (places.xs[at] ?? 0) + (step - (places.steps[at] ?? 0)) * (places.slopes[at] ?? 1);
}

/** The steps that stand within [from, to] in units of the axis, one more on either side; null where there is none. */
export function stepsBetween(
  places: Places,
  from: number,
  to: number,
): { readonly from: number; readonly to: number } | null {
  const first = places.steps[0];
  if (first === undefined || placeOf(places, places.lastStep) < from || placeOf(places, first) > to) return null;
  const low = Math.max(first, Math.floor(stepAt(places, from)) - 1);
  const high = Math.min(places.lastStep, Math.ceil(stepAt(places, to)) + 1);
  return low <= high ? { from: low, to: high } : null;
}

/** The step that stands at `x`, as a fraction; behind the end of a piece, the last one of it. */
function stepAt(places: Places, x: number): number {
  const at = Math.max(0, lastAtOrBefore(places.xs, x));
  const slope = places.slopes[at] ?? 1;
  const begin = places.steps[at] ?? 0;
  const end = places.steps[at + 1] ?? places.lastStep;
  return slope > 0 ? Math.min(end, begin + Math.max(0, x - (places.xs[at] ?? 0)) / slope) : begin;
}

function lastAtOrBefore(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The buckets at their ticks. */
export function placed(buckets: Buckets, places: Places, ticks: number): Buckets {
  const at = Array.from(buckets.step, (step) => Math.round(placeOf(places, step) * ticks));
  const firsts = at.flatMap((tick, i) => (i === 0 || tick > (at[i - 1] ?? 0) ? [i] : []));
  const ends = [...firsts.slice(1), at.length];
  const each = (read: (from: number, to: number) => number): Float64Array =>
    Float64Array.from(firsts, (from, i) => read(from, ends[i] ?? from + 1));
  const sum = (column: Float64Array): Float64Array =>
    each((from, to) => column.subarray(from, to).reduce((total, value) => total + value, 0));
  const best = (column: Float64Array, pick: (a: number, b: number) => number): Float64Array =>
    each((from, to) => column.subarray(from, to).reduce((found, value) => pick(found, value), NaN));
  return {
    step: each((from) => at[from] ?? 0),
    min: best(buckets.min, lower),
    max: best(buckets.max, higher),
    mean: each((from, to) => meanOf(buckets, from, to)),
    last: each((_, to) => buckets.last[to - 1] ?? NaN),
    nan: sum(buckets.nan),
    posInf: sum(buckets.posInf),
    negInf: sum(buckets.negInf),
    count: sum(buckets.count),
  };
}

function meanOf(buckets: Buckets, from: number, to: number): number {
  let [sum, count] = [0, 0];
  for (let i = from; i < to; i += 1) {
    const bad = (buckets.nan[i] ?? 0) + (buckets.posInf[i] ?? 0) + (buckets.negInf[i] ?? 0);
    const finite = (buckets.count[i] ?? 0) - bad;
    if (finite <= 0) continue;
    sum += (buckets.mean[i] ?? 0) * finite;
    count += finite;
  }
  return count > 0 ? sum / count : NaN;
}
