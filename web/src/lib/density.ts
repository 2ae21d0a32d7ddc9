/**
 * How much of what there is is drawn: "1 of 40 points, extremes kept".
 *
 * Rules of this file: pure. It counts the points that the run has in the window against the places and the buckets that
 * they are drawn as, whichever are fewer, so that it is true of a bucketed history too.
 */
import { type Window, cellsOf } from "./fold";
import { step as stepText } from "./format";
import type { SeriesBuffer } from "./series";

export interface Density {
  /** how many points one drawn place stands for, on average */
  readonly folded: number;
  /** whether the page itself holds single points here: a wider screen would show them */
  readonly isDetailed: boolean;
}

export function densityOf(buffer: SeriesBuffer | undefined, window: Window, width: number): Density | null {
  if (buffer === undefined) return null;
  const { count, span } = cellsOf(window, width);
  // a folded column shows its low and its high
  const places = count < span ? 2 * count : count;
  const start = buffer.indexFrom(window.from);
  const end = buffer.indexFrom(Math.floor(window.to) + 1);
  let points = 0;
  for (let at = start; at < end; at += 1) points += Math.max(1, buffer.counts[at] ?? 1);
  const entries = end - start;
  if (entries <= 0) return null;
  return { folded: points / Math.min(entries, places), isDetailed: points === entries };
}

/** What stands beside the charts; empty where every point has its place. */
export function densityText(density: Density | null): string {
  if (density === null || density.folded <= 1.05) return "";
  const of = density.folded < 2 ? density.folded.toFixed(1) : stepText(Math.round(density.folded));
  return `1 of ${of} points, extremes kept`;
}
