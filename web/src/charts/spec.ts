/**
 * The one description of a chart, which both renderers read.
 *
 * Rules of this file: data only; charts/catalogue.ts says which charts there are.
 */
import type { Look } from "../lib/palette";

export interface Line {
  /** the series' name */
  readonly name: string;
  readonly label: string;
  readonly look: Look;
  /** drawn thicker: the sum of the others */
  readonly isTotal: boolean;
}

export interface Contract {
  readonly label: string;
  readonly low: number | null;
  readonly high: number | null;
}

export interface ChartSpec {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  /** what of its series the chart shows; empty where it shows all */
  readonly note: string;
  readonly lines: readonly Line[];
  readonly isLog: boolean;
  /** whether its lines are parts of a whole, which can be heaped */
  readonly canStack: boolean;
  /** whether its lines, many of one kind, can be the rows of a heat map */
  readonly canHeat: boolean;
  /** a step line: the value holds until it changes */
  readonly isStepped: boolean;
  /** the ends of the axis where the quantity has ends; a value outside widens it, because it must not be hidden */
  readonly bounds: readonly [number, number] | null;
  /** a line breaks where more than so many steps lie between two of its points; null: never */
  readonly gapSteps: number | null;
  readonly contracts: readonly Contract[];
}

/** What most charts are. */
export const PLAIN = {
  unit: "",
  note: "",
  isLog: false,
  canStack: false,
  canHeat: false,
  isStepped: false,
  bounds: null,
  gapSteps: null,
  contracts: [],
} as const;

export function lineOf(name: string, label: string, its: Look): Line {
  return { name, label, look: its, isTotal: false };
}
