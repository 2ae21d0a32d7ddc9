/**
 * A series as the page holds it: entries over steps, each a single point or a bucket of many.
 *
 * Rules of this file:
 * - An entry keeps the lowest, highest and mean finite value, the last value and which kinds of non-finite values it
 *   covers. Folding entries keeps all of that, so no spike and no NaN is lost however often they are folded.
 * - Steps are unique and ascending. A point of a known step replaces it; one of an older unknown step is put in place.
 * - A buffer is bounded: when full, its older part is folded onto an even grid, its newest part keeps every step.
 */
import type { Buckets } from "./buckets";

export const NAN = 1;
export const POS_INF = 2;
export const NEG_INF = 4;

/** 60 series of 16,384 entries of 45 bytes are 44 MB: what a tab may take, and 5 minutes of every step at 50 steps/s. */
export const CAPACITY = 16_384;

export function flagOf(value: number): number {
  if (Number.isFinite(value)) return 0;
  if (Number.isNaN(value)) return NAN;
  return value > 0 ? POS_INF : NEG_INF;
}

/** What a step, or a bucket of steps, holds. */
export interface Entry {
  /** NaN where there is no finite value; likewise `high` and `mean` */
  readonly low: number;
  readonly high: number;
  readonly mean: number;
  /** how many finite values */
  readonly count: number;
  /** may be non-finite */
  readonly last: number;
  readonly flags: number;
}

export class SeriesBuffer {
  length = 0;
  /** the last step that its history covers: the newest bucket begins before it */
  reach = -1;
  steps = new Float64Array(256);
  /** NaN where the entry covers no finite value */
  lows = new Float64Array(256);
  highs = new Float64Array(256);
  means = new Float64Array(256);
  counts = new Uint32Array(256);
  /** may be non-finite */
  lasts = new Float64Array(256);
  flags = new Uint8Array(256);

  constructor(private readonly capacity: number = CAPACITY) {}

  firstStep(): number {
    return this.length === 0 ? -1 : (this.steps[0] ?? -1);
  }

  lastStep(): number {
    return this.length === 0 ? -1 : (this.steps[this.length - 1] ?? -1);
  }

  append(step: number, value: number): void {
    const flags = flagOf(value);
    const finite = flags === 0 ? value : NaN;
    this.put(step, { low: finite, high: finite, mean: finite, count: flags === 0 ? 1 : 0, last: value, flags });
  }

  put(step: number, entry: Entry): void {
    if (this.length > 0 && step <= this.lastStep()) {
      const at = this.indexFrom(step);
      const isBucket = this.steps[at] === step && (this.counts[at] ?? 0) > 1;
      if (this.steps[at] !== step) this.openGap(at);
      // A late point must not wipe out the bucket that begins at its step.
      this.set(at, step, isBucket ? merged(this.entry(at), entry) : entry);
      return;
    }
    if (this.length >= this.capacity) this.foldOlder();
    this.reserve(this.length + 1);
    this.set(this.length, step, entry);
    this.length += 1;
  }

  /** An empty buffer takes up buckets, whose steps ascend. */
  fill({ step, min, max, mean, last, count, nan, posInf, negInf }: Buckets): void {
    this.reserve(step.length);
    this.steps.set(step);
    this.lows.set(min);
    this.highs.set(max);
    this.means.set(mean);
    this.lasts.set(last);
    for (let at = 0; at < step.length; at += 1) {
      const [nans, above, below] = [nan[at] ?? 0, posInf[at] ?? 0, negInf[at] ?? 0];
      this.counts[at] = Math.max(0, (count[at] ?? 0) - nans - above - below);
      this.flags[at] = (nans > 0 ? NAN : 0) | (above > 0 ? POS_INF : 0) | (below > 0 ? NEG_INF : 0);
    }
    this.length = step.length;
  }

  entry(at: number): Entry {
    return {
      low: this.lows[at] ?? NaN,
      high: this.highs[at] ?? NaN,
      mean: this.means[at] ?? NaN,
      count: this.counts[at] ?? 0,
      last: this.lasts[at] ?? NaN,
      flags: this.flags[at] ?? 0,
    };
  }

  /** The index of the first entry at or after `step`; `length` when there is none. */
  indexFrom(step: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.steps[middle] ?? 0) < step) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The index of the last entry at or before `step`; -1 when there is none. */
  indexAt(step: number): number {
    const at = this.indexFrom(step);
    return at < this.length && this.steps[at] === step ? at : at - 1;
  }

  /** The value in force at `step`: the last one at or before it; null before the first. */
  valueAt(step: number): number | null {
    const at = this.indexAt(step);
    return at < 0 ? null : (this.lasts[at] ?? null);
  }

  /** The value in force at `step`, of a bucket its mean: parts add up to their total by it; null when not finite. */
  meanAt(step: number): number | null {
    const at = this.indexAt(step);
    const mean = at < 0 ? NaN : (this.means[at] ?? NaN);
    return Number.isNaN(mean) ? null : mean;
  }

  latest(): number | null {
    return this.length === 0 ? null : (this.lasts[this.length - 1] ?? null);
  }

  /** Drops every entry at and after `step`; a bucket that begins before it stays whole. */
  truncate(step: number): void {
    this.reach = Math.min(this.reach, step - 1);
    this.length = this.indexFrom(step);
  }

  private set(at: number, step: number, entry: Entry): void {
    this.steps[at] = step;
    this.lows[at] = entry.low;
    this.highs[at] = entry.high;
    this.means[at] = entry.mean;
    this.counts[at] = entry.count;
    this.lasts[at] = entry.last;
    this.flags[at] = entry.flags;
  }

  private openGap(at: number): void {
    this.reserve(this.length + 1);
    for (const column of [this.steps, this.lows, this.highs, this.means, this.counts, this.lasts, this.flags])
      column.copyWithin(at + 1, at, this.length);
    this.length += 1;
  }

  private reserve(count: number): void {
    if (count <= this.steps.length) return;
    const size = Math.max(count, this.steps.length * 2);
    const grown = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const column = new Float64Array(size);
      column.set(old);
      return column;
    };
    this.steps = grown(this.steps);
    this.lows = grown(this.lows);
    this.highs = grown(this.highs);
    this.means = grown(this.means);
    this.lasts = grown(this.lasts);
    const counts = new Uint32Array(size);
    counts.set(this.counts);
    this.counts = counts;
    const flags = new Uint8Array(size);
    flags.set(this.flags);
    this.flags = flags;
  }

  /**
   * Folds all but the newest quarter onto an even grid of at most half the capacity. An even grid, not pairs: pairing
   * the older half again and again would leave one entry of a long run's beginning. Cells are a power of two wide, so
   * that a later grid's cells are whole cells of this one.
   */
  private foldOlder(): void {
    const older = this.length - (this.capacity >> 2);
    const span = (this.steps[older - 1] ?? 0) - this.firstStep() + 1;
    const width = 2 ** Math.ceil(Math.log2(span / (this.capacity >> 1)));
    let to = -1;
    let cell = -1;
    for (let at = 0; at < this.length; at += 1) {
      const here = at < older ? Math.floor((this.steps[at] ?? 0) / width) : Infinity;
      if (here === cell && here !== Infinity) this.foldInto(to, at);
      else this.moveTo((to += 1), at);
      cell = here;
    }
    this.length = to + 1;
  }

  private moveTo(to: number, from: number): void {
    this.set(to, this.steps[from] ?? 0, this.entry(from));
  }

  private foldInto(to: number, from: number): void {
    this.set(to, this.steps[to] ?? 0, merged(this.entry(to), this.entry(from)));
  }
}

/** Two neighbouring entries as one. */
function merged(a: Entry, b: Entry): Entry {
  const count = a.count + b.count;
  const sum = (a.count > 0 ? a.mean * a.count : 0) + (b.count > 0 ? b.mean * b.count : 0);
  return {
    low: lower(a.low, b.low),
    high: higher(a.high, b.high),
    mean: count > 0 ? sum / count : NaN,
    count,
    last: b.last,
    flags: a.flags | b.flags,
  };
}

/** The lower of two values of which either may be absent (NaN). */
export function lower(a: number, b: number): number {
  return Number.isNaN(a) || b < a ? b : a;
}

export function higher(a: number, b: number): number {
  return Number.isNaN(a) || b > a ? b : a;
}

/** A buffer of what the server's buckets hold. */
export function bufferOf(buckets: Buckets): SeriesBuffer {
  // Room for live points before the first folding.
  const buffer = new SeriesBuffer(Math.max(CAPACITY, buckets.step.length * 2));
  buffer.fill(buckets);
  return buffer;
}

/** The last step that the buckets cover: a bucket of several points may reach as far as the answer's last step. */
export function coveredTo(buckets: Buckets, lastStep: number): number {
  const end = buckets.step.length - 1;
  if (end < 0) return -1;
  return buckets.count[end] === 1 ? (buckets.step[end] ?? -1) : Math.max(lastStep, buckets.step[end] ?? -1);
}
