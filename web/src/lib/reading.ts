/**
 * What a series says at the cross-hair: the value of a step, or of a column that stands for several, its ends.
 *
 * Rules of this file: pure. A column is the one that lib/fold.ts draws; what is not finite in it is said, whatever else is.
 */
import { type Window, cellsOf } from "./fold";
import { live, short } from "./format";
import { type Gap } from "./gaps";
import { NAN, NEG_INF, POS_INF, type SeriesBuffer, higher, lower } from "./series";

export interface Reading {
  /** NaN where there is no finite value */
  readonly low: number;
  readonly high: number;
  /** may be non-finite */
  readonly last: number;
  readonly flags: number;
  /** how many entries */
  readonly points: number;
}

/** The whole steps of the column that `step` lies in, on a chart of `width` pixels. */
export function columnAt(window: Window, width: number, step: number): { from: number; to: number } {
  const { from, span, count } = cellsOf(window, width);
  const cell = Math.max(0, Math.min(count - 1, Math.floor(((Math.round(step) - from) * count) / span)));
  return {
    from: from + Math.ceil((cell * span) / count),
    to: from + Math.ceil(((cell + 1) * span) / count) - 1,
  };
}

/** What lies in [from, to]; else the value in force there; null before the first, and within a gap. */
export function readingAt(
  buffer: SeriesBuffer | undefined,
  from: number,
  to: number,
  gaps: readonly Gap[] = [],
): Reading | null {
  if (buffer === undefined) return null;
  let [low, high, last, flags, points] = [NaN, NaN, NaN, 0, 0];
  for (let at = buffer.indexFrom(from); at < buffer.length && (buffer.steps[at] ?? 0) <= to; at += 1) {
    low = lower(low, buffer.lows[at] ?? NaN);
    high = higher(high, buffer.highs[at] ?? NaN);
    last = buffer.lasts[at] ?? NaN;
    flags |= buffer.flags[at] ?? 0;
    points += 1;
  }
  if (points > 0) return { low, high, last, flags, points };
  const before = buffer.indexAt(from);
  if (before < 0 || gaps.some((gap) => gap.from <= from && from <= gap.to)) return null;
  const { low: least, high: most, last: held, flags: kinds } = buffer.entry(before);
  return { low: least, high: most, last: held, flags: kinds, points: 1 };
}

/** The newest value. */
export function newestOf(buffer: SeriesBuffer | undefined): Reading | null {
  if (buffer === undefined || buffer.length === 0) return null;
  const last = buffer.latest() ?? NaN;
  const isBad = !Number.isFinite(last);
  return { low: isBad ? NaN : last, high: isBad ? NaN : last, last, flags: flagsOf(last), points: 1 };
}

function flagsOf(value: number): number {
  return Number.isNaN(value) ? NAN : value === Infinity ? POS_INF : value === -Infinity ? NEG_INF : 0;
}

const WORDS: readonly (readonly [number, string])[] = [
  [NAN, "NaN"],
  [POS_INF, "+Inf"],
  [NEG_INF, "−Inf"],
];

/** The non-finite kinds in words. */
export function badWords(flags: number): string[] {
  return WORDS.filter(([flag]) => (flags & flag) !== 0).map(([, word]) => word);
}

/** "1.234"; where a column folds several steps "1.1 … 1.4"; "NaN" beside it where there was one. */
export function readingText(reading: Reading | null): string {
  if (reading === null) return live(null);
  const { low, high, flags } = reading;
  const bad = badWords(flags);
  if (Number.isNaN(low)) return bad.length > 0 ? bad.join(" ") : live(reading.last);
  const said = low === high ? live(low) : `${short(low)} … ${short(high)}`;
  return [said, ...bad].join(" ");
}
