/**
 * How compared runs are told apart: each has its colour and its dash, the same on every chart.
 *
 * Rules of this file: pure. One component a chart, because eight runs times five components are no picture: so the colour
 * is free for the run. The first run, which the others are compared with, is drawn in ink, without dashes.
 */
import { INK, type Look, look } from "./palette";

const DASHES: readonly (readonly number[])[] = [
  [7, 3],
  [2, 3],
  [10, 3, 2, 3],
  [4, 2],
];

export function runLook(index: number): Look {
  if (index === 0) return INK;
  return { colour: look(index - 1).colour, dash: DASHES[(index - 1) % DASHES.length] ?? [] };
}

/** The key of a run's series among those of all runs. */
export function keyOf(index: number, series: string): string {
  return `${index}:${series}`;
}
