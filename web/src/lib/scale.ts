/**
 * The scales of an axis of values: linear, logarithmic, and symlog, which is linear near 0 and logarithmic beyond.
 *
 * Rules of this file: pure. Symlog is asinh(value / threshold): both signs and zero have a place, and no value is left
 * out. Its threshold follows from the data and is a power of ten, so that it rarely moves.
 */
import { linearTicks, logTicks } from "./ticks";

export type Scale = "linear" | "log" | "symlog";
export const SCALES: readonly Scale[] = ["linear", "log", "symlog"];

export function isScale(value: unknown): value is Scale {
  return SCALES.some((scale) => scale === value);
}

/** The threshold lies at this quantile of the magnitudes: most values are in the logarithmic part. */
const QUANTILE = 0.05;
/** A handful of values near 0 must not open more decades than an axis can show. */
const DECADES = 6;
/** Enough values to place a quantile, few enough for every redraw. */
const SAMPLED = 2000;

type Values = readonly (number | null | undefined)[];

/** Where symlog turns from linear to logarithmic; 1 where there is nothing to go by. */
export function thresholdOf(columns: readonly Values[]): number {
  const sizes = columns.flatMap(magnitudes).sort((a, b) => a - b);
  const largest = sizes.at(-1);
  if (largest === undefined) return 1;
  const least = sizes[Math.floor((sizes.length - 1) * QUANTILE)] ?? largest;
  return 10 ** Math.floor(Math.log10(Math.max(least, largest / 10 ** DECADES)));
}

function magnitudes(values: Values): number[] {
  const every = Math.max(1, Math.floor(values.length / SAMPLED));
  const sizes: number[] = [];
  for (let at = 0; at < values.length; at += every) {
    const size = Math.abs(values[at] ?? 0);
    if (size > 0 && Number.isFinite(size)) sizes.push(size);
  }
  return sizes;
}

export function toSymlog(value: number, threshold: number): number {
  return Math.asinh(value / threshold);
}

export function fromSymlog(place: number, threshold: number): number {
  return Math.sinh(place) * threshold;
}

/** At most about `most` ticks in [low, high]: 0, and powers on either side of the threshold. */
export function symlogTicks(low: number, high: number, threshold: number, most: number): number[] {
  if (!(high > low) || !Number.isFinite(high - low)) return [];
  if (high <= threshold && low >= -threshold) return linearTicks(low, high, most);
  const [bottom, top] = [toSymlog(low, threshold), toSymlog(high, threshold)];
  const room = (part: number): number => Math.max(2, Math.floor((most * part) / (top - bottom)));
  const side = (from: number, to: number): number[] =>
    to > Math.max(from, threshold) ? logTicks(Math.max(from, threshold), to, room(toSymlog(to, threshold))) : [];
  const above = side(low, high);
  const below = side(-high, -low).map((tick) => -tick);
  return [...below.reverse(), ...(low <= 0 && high >= 0 ? [0] : []), ...above];
}

/** A little more than [low, high], as the scale measures; uPlot asks with null when there is nothing to draw. */
export function symlogRange(low: number | null, high: number | null, threshold: number): [number, number] {
  if (low === null || high === null) return [-1, 1];
  const [bottom, top] = [toSymlog(low, threshold), toSymlog(high, threshold)];
  const pad = (top - bottom || 1) * 0.06;
  return [low >= 0 && bottom < pad ? 0 : fromSymlog(bottom - pad, threshold), fromSymlog(top + pad, threshold)];
}
