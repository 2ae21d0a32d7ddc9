/**
 * Lines and areas as paths on a canvas, in whole pixels.
 *
 * Rules of this file: a break begins a new line and an area is the polygon between its edges. uPlot's own builders clip
 * gaps out of one line, and areas out of larger ones, which a canvas without a GPU is slow at.
 */
import type { Values } from "../lib/fold";
import { type Scale, toSymlog } from "../lib/scale";

/** What a path is drawn with; Path2D is one. */
export interface Pen {
  moveTo: (x: number, y: number) => void;
  lineTo: (x: number, y: number) => void;
}

/** Parallel arrays, and which of their entries [from, to] are drawn. */
export interface Course {
  readonly steps: readonly number[];
  readonly values: Values;
  readonly from: number;
  readonly to: number;
}

/** From steps and values to canvas pixels. */
export interface Places {
  readonly x: (step: number) => number;
  readonly y: (value: number) => number;
}

export interface Manner {
  /** a value holds until the next one */
  readonly isStepped?: boolean;
  /**
   * The path begins anew at the first entry of every stretch of so many pixels, and where the next one is as far. Dashes
   * begin with a path: those of a line that is drawn from its middle on must lie where they lay before. Infinity: never.
   */
  readonly stretchPx?: number;
}

/** A line; null breaks it, undefined is passed over. */
export function traceLine(
  pen: Pen,
  { steps, values, from, to }: Course,
  { x, y }: Places,
  { isStepped = false, stretchPx = Infinity }: Manner = {},
): void {
  let isDown = false;
  let [lastX, lastY, stretch] = [0, 0, NaN];
  for (let at = from; at <= to; at += 1) {
    const value = values[at];
    if (value === undefined) continue;
    if (value === null) {
      isDown = false;
      continue;
    }
    const [left, top] = [x(steps[at] ?? 0), y(value)];
    if (isDown && left - lastX >= stretchPx) pen.moveTo(lastX, lastY);
    if (isDown && isStepped && left !== lastX && top !== lastY) pen.lineTo(left, lastY);
    if (isDown && (left !== lastX || top !== lastY)) pen.lineTo(left, top);
    const here = Math.floor(left / stretchPx);
    if (!isDown || here !== stretch) pen.moveTo(left, top);
    isDown = true;
    stretch = here;
    lastX = left;
    lastY = top;
  }
}

/** The polygons between the values and `below`, which is 0 where there is none; null parts one from the next. */
export function traceArea(pen: Pen, course: Course, below: Values | null, { x, y }: Places): void {
  const { steps, values, from, to } = course;
  const bottom = (at: number): number => y(below?.[at] ?? 0);
  for (let start = from; start <= to; start += 1) {
    if (typeof values[start] !== "number") continue;
    let end = start;
    while (end < to && typeof values[end + 1] === "number") end += 1;
    pen.moveTo(x(steps[start] ?? 0), bottom(start));
    for (let at = start; at <= end; at += 1) pen.lineTo(x(steps[at] ?? 0), y(values[at] ?? 0));
    for (let at = end; at > start; at -= 1) pen.lineTo(x(steps[at] ?? 0), bottom(at));
    start = end;
  }
}

/** A bar is as wide as it is far to the next, but no wider than so many pixels: behind a gap there is nothing. */
const WIDEST_PX = 4;

/**
 * Fills a bar from low to high for every column, each of which has two of the values; from `bottom` to the high where the
 * low has no place on the axis, as 0 has none on a logarithmic one.
 */
export function traceBars(
  fillRect: (left: number, top: number, width: number, height: number) => void,
  { steps, values }: Pick<Course, "steps" | "values">,
  { x, y }: Places,
  bottom: number,
  ratio: number,
): void {
  const last = values.length - 1;
  for (let at = 0; at < last; at += 2) {
    const [a, b] = [values[at], values[at + 1]];
    const high = Math.max(a ?? -Infinity, b ?? -Infinity);
    if (high === -Infinity) continue;
    const [left, top] = [x(steps[at] ?? 0), y(high)];
    const end = typeof a === "number" && typeof b === "number" ? y(Math.min(a, b)) : bottom;
    const width = at + 2 > last ? ratio : Math.min(WIDEST_PX * ratio, x(steps[at + 2] ?? 0) - left);
    fillRect(left, top, Math.max(1, width), Math.max(ratio, end - top));
  }
}

type Ends = readonly [low: number, high: number];

/** Where a plot lies on its canvas, and what its axes show. */
export interface Plot {
  readonly box: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  readonly x: Ends;
  readonly y: Ends;
  readonly scale: Scale;
  /** of symlog */
  readonly threshold: number;
}

export function placesOf({ box: { left, top, width, height }, x, y, scale, threshold }: Plot): Places {
  const acrossPx = width / (x[1] - x[0]);
  return { x: (step) => Math.round(left + (step - x[0]) * acrossPx), y: heightsOf(y, scale, threshold, top, height) };
}

/** One function a scale, with everything in it that does not change: it is asked some ten thousand times a redraw. */
function heightsOf([low, high]: Ends, scale: Scale, threshold: number, top: number, height: number): Places["y"] {
  const bottom = top + height;
  if (scale === "log") {
    const upPx = height / Math.log(high / low);
    return (value) => Math.round(bottom - Math.log(value / low) * upPx);
  }
  if (scale === "symlog") {
    const start = toSymlog(low, threshold);
    const upPx = height / (toSymlog(high, threshold) - start);
    return (value) => Math.round(bottom - (toSymlog(value, threshold) - start) * upPx);
  }
  const upPx = height / (high - low);
  return (value) => Math.round(bottom - (value - low) * upPx);
}
