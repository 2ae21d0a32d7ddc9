/**
 * Makes what a renderer draws: the visible lines of a chart, folded to its pixels.
 *
 * Rules of this file: pure, save for reading the store; it is asked at every redraw, so its cost is the points in the
 * window and nothing else.
 */
import { type Frame, type Range, type Window, fold, lines as linesOf, stack, windowOf } from "../lib/fold";
import type { PointStore } from "../lib/store";
import { gathered } from "./gather";
import type { Overlay } from "./overlay";
import type { ChartSpec, Line } from "./spec";
import type { Theme } from "./theme";

export interface Picture {
  readonly spec: ChartSpec;
  /** the visible lines, in the order of frame.ys */
  readonly lines: readonly Line[];
  readonly frame: Frame;
  readonly window: Window;
  readonly overlay: Overlay;
  readonly isLog: boolean;
  readonly isStacked: boolean;
  /** columns stand for many steps each: lines become faint bands of low and high with their mean in them */
  readonly isDense: boolean;
  readonly theme: Theme;
  /** the newest step within the frame */
  readonly lastStep: number | null;
}

/** From this many steps a column on, noise fills the space between a column's low and high. */
const DENSE_STEPS = 4;

export interface Choices {
  readonly isLog: boolean;
  readonly isStacked: boolean;
  readonly hidden: ReadonlySet<string>;
}

/** More lines than this in one chart are no longer told apart; the others start hidden and wait in the legend. */
const VISIBLE_AT_FIRST = 12;

export function firstChoices(spec: ChartSpec): Choices {
  const parts = spec.lines.filter((line) => !line.isTotal);
  return {
    isLog: spec.isLog,
    isStacked: spec.canStack,
    hidden: new Set(parts.slice(VISIBLE_AT_FIRST).map((line) => line.name)),
  };
}

export interface Ground {
  readonly store: PointStore;
  readonly range: Range;
  readonly overlay: Overlay;
  readonly theme: Theme;
}

/** The picture of a chart `width` pixels wide; null while there is nothing to draw. */
export function pictureOf(spec: ChartSpec, choices: Choices, ground: Ground, width: number): Picture | null {
  const window = windowOf(ground.range, ground.store.extent());
  if (window === null) return null;
  const lines = spec.lines.filter((line) => !choices.hidden.has(line.name));
  const buffers = lines.map((line) => ground.store.view(line.name, window.from, window.to));
  const folded = fold(buffers, window, width, spec.gapSteps);
  // Areas are heaped under the total; without it, on a log axis or with a negative part heaps would mislead.
  const hasNegative = folded.series.some((column) => column.low.some((low) => low < 0));
  const isStacked =
    choices.isStacked && !choices.isLog && lines[0]?.isTotal === true && lines.length > 1 && !hasNegative;
  const isDense = !isStacked && window.to - window.from > width * DENSE_STEPS;
  const frame = isStacked ? stack(folded, buffers) : linesOf(folded, choices.isLog, isDense);
  return {
    spec,
    lines,
    frame,
    window,
    overlay: { bands: ground.overlay.bands, marks: gathered(ground.overlay.marks, window) },
    isLog: choices.isLog,
    isStacked,
    isDense,
    theme: ground.theme,
    lastStep: lastWithin(frame, window),
  };
}

function lastWithin(frame: Frame, window: Window): number | null {
  for (let at = frame.x.length - 1; at >= 0; at -= 1) {
    const x = frame.x[at] ?? 0;
    if (x <= window.to) return x;
  }
  return null;
}
