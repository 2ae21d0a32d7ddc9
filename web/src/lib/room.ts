/**
 * Room for the steps to come: while a run goes on, its charts end a little behind its last step.
 *
 * Rules of this file: pure. The end goes on by a part of the window at a time; between two of these moves nothing that is
 * drawn has to move with every step.
 */
import { type Range, type Window, windowOf } from "./fold";

/** The room is this part of the window at most, and in powers of two of whole steps. */
const PART = 12;
const LEAST_STEPS = 4;

/** Of what the charts show the part that has steps: what is said of them, and exported. */
export function shownSteps(range: Range, extent: readonly [number, number] | null, isGoingOn: boolean): Window | null {
  const window = roomyWindow(range, extent, isGoingOn);
  if (window === null || extent === null || range.kind === "fixed") return window;
  return { from: window.from, to: Math.max(extent[1], window.from + 1) };
}

/** What the charts show: the window, with room where the run goes on; null while there is nothing. */
export function roomyWindow(
  range: Range,
  extent: readonly [number, number] | null,
  isGoingOn: boolean,
): Window | null {
  const window = windowOf(range, extent);
  if (window === null || range.kind === "fixed" || !isGoingOn) return window;
  const stride = Math.max(LEAST_STEPS, 2 ** Math.floor(Math.log2((window.to - window.from) / PART)));
  const to = Math.ceil(window.to / stride) * stride;
  return { from: range.kind === "last" ? Math.max(window.from, to - range.steps + 1) : window.from, to };
}
