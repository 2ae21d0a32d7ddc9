/**
 * The frame that all charts share, so that one step stands at one place on all of them, and what a chart tells.
 *
 * Rules of this file: sizes in CSS pixels; both live renderers keep to them.
 */
import type { Mark } from "./overlay";
import type { Picture } from "./picture";
import type { Theme } from "./theme";
import type { Drawn } from "./glyphs";

export const AXIS_WIDTH = 58;
export const RIGHT_PADDING = 14;
/** stage names above, glyphs of marks below them: neither hides a curve or the other */
export const TOP_STRIP = 31;
export const X_AXIS_HEIGHT = 26;
/** A drag of fewer pixels is a press. */
export const MIN_DRAG_PX = 4;

export interface Listeners {
  readonly onZoom: (from: number, to: number) => void;
  readonly onReset: () => void;
  readonly onMark: (mark: Mark) => void;
  readonly onDrawn: (lastStep: number | null, nonFinite: number) => void;
}

/** A renderer of one chart in one host element. */
export interface Chart {
  draw(picture: Picture): void;
  /** Draws a tip upon what is there; false where that is not enough, because something else has moved. */
  extend(tip: Picture): boolean;
  /** the newest step that is on the screen, where a tip may follow it; null: all must be drawn */
  readonly drawnTo: number | null;
  /** where the cross-hair stands; null: nowhere */
  point(step: number | null): void;
  /** the part of the host that steps lie in; null before the first drawing */
  readonly plotArea: HTMLElement | null;
  /** the pixels, with the glyphs that stand above them; null before the first drawing */
  image(theme: Theme): ChartImage | null;
  destroy(): void;
}

export interface ChartImage {
  readonly canvas: HTMLCanvasElement;
  readonly glyphs: readonly Drawn[];
  /** canvas pixels a CSS pixel */
  readonly ratio: number;
}

/** How many pixels wide the plot of a host `hostWidth` wide is. */
export function plotWidth(hostWidth: number): number {
  return Math.max(50, Math.floor(hostWidth - AXIS_WIDTH - RIGHT_PADDING));
}
