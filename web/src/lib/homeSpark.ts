/**
 * A run's total as a curve of a hundred pixels.
 *
 * Rules of this file: pure. What is not finite is a mark, never left out; a total that goes over two decades is drawn on
 * a log scale, and that is said.
 */
import { short } from "./format";
import { sparkOf } from "./spark";

export interface DrawnTotal {
  readonly path: string;
  readonly marks: readonly number[];
  /** what the curve says, in words */
  readonly text: string;
}

export const SPARK_WIDTH = 120;
export const SPARK_HEIGHT = 22;
const LOG_FROM = 100;
const CROSS = 5;

export function drawnTotal(totals: readonly (readonly [step: number, value: number])[]): DrawnTotal {
  const finite = totals.map(([, value]) => value).filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const isLog = low > 0 && high / low > LOG_FROM;
  const drawn = isLog ? totals.map(([step, value]) => [step, logOf(value)] as const) : totals;
  const { path, marks } = sparkOf(drawn, SPARK_WIDTH, SPARK_HEIGHT);
  return { path, marks: apart(marks), text: textOf(totals, low, high, isLog) };
}

/** Crosses that lie upon each other are one. */
function apart(marks: readonly number[]): number[] {
  return marks.reduce<number[]>((kept, x) => (x - (kept.at(-1) ?? -Infinity) < CROSS ? kept : [...kept, x]), []);
}

function logOf(value: number): number {
  return value > 0 && Number.isFinite(value) ? Math.log10(value) : Number.NaN;
}

function textOf(totals: readonly (readonly [number, number])[], low: number, high: number, isLog: boolean): string {
  const first = totals[0];
  const last = totals.at(-1);
  if (first === undefined || last === undefined) return "No total yet.";
  const broken = totals.filter(([, value]) => !Number.isFinite(value)).length;
  const span = low <= high ? `, between ${short(low, 3)} and ${short(high, 3)}` : "";
  const marks = broken === 0 ? "" : `; not finite in ${broken} of ${totals.length} parts of the run`;
  return `Total from ${short(first[1], 3)} to ${short(last[1], 3)}${span}${marks}${isLog ? "; log scale" : ""}.`;
}
