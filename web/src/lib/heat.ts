/**
 * Series against steps as a map of colours: a row a series, a column as lib/fold.ts folds it.
 *
 * Rules of this file: pure. A cell is the highest value of its column, so that no spike is lost; colours are logarithmic;
 * a cell with a value that is not finite is marked, whatever else it holds.
 */
import { type Folded, PRESENT, type Window, cellsOf } from "./fold";
import { logTicks } from "./ticks";

export interface HeatGrid {
  readonly rows: number;
  /** columns of the whole window, with what lies outside of it left out */
  readonly columns: number;
  /** row after row; NaN where nothing is known */
  readonly values: Float64Array;
  /** likewise; which kinds of non-finite values */
  readonly flags: Uint8Array;
  /** the ends of the colours, both above 0 */
  readonly low: number;
  readonly high: number;
}

/** Of a series that is logged at every n-th step only, a value fills so many times the usual distance and no more. */
const REACH = 1.5;

export function heatOf(folded: Folded, window: Window, width: number): HeatGrid {
  const { count: columns } = cellsOf(window, width);
  const rows = folded.series.length;
  const values = new Float64Array(rows * columns).fill(NaN);
  const flags = new Uint8Array(rows * columns);
  let [low, high] = [Infinity, -Infinity];
  folded.series.forEach((series, row) => {
    for (let column = 0; column < columns; column += 1) {
      if (series.has[column + 1] !== PRESENT) continue;
      const value = series.high[column + 1] ?? NaN;
      values[row * columns + column] = value;
      flags[row * columns + column] = series.flags[column + 1] ?? 0;
      if (value > 0) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    fillRow(values.subarray(row * columns, (row + 1) * columns), flags.subarray(row * columns, (row + 1) * columns));
  });
  if (!(low <= high)) [low, high] = [1e-3, 1];
  // One colour needs no scale, but a scale needs two ends.
  return { rows, columns, values, flags, low: low === high ? low / 2 : low, high: low === high ? high * 2 : high };
}

/** A value holds until the next one, where that is as near as usual. */
function fillRow(values: Float64Array, flags: Uint8Array): void {
  const present = [...values.keys()].filter((at) => !Number.isNaN(values[at] ?? NaN) || flags[at] !== 0);
  const distances = present.slice(1).map((at, i) => at - (present[i] ?? 0));
  if (distances.every((distance) => distance === 1)) return;
  const usual = [...distances].sort((a, b) => a - b)[distances.length >> 1] ?? 1;
  present.forEach((at, i) => {
    const end = Math.min(present[i + 1] ?? values.length, at + Math.ceil(usual * REACH));
    if (flags[at] === 0) values.fill(values[at] ?? NaN, at, end);
  });
}

/** Where between the ends of the colours a value lies, 0 to 1; what is not above 0 lies at 0. */
export function heatAt(value: number, { low, high }: Pick<HeatGrid, "low" | "high">): number {
  if (!(value > 0)) return 0;
  return Math.max(0, Math.min(1, Math.log(value / low) / Math.log(high / low)));
}

/** The numbers beside the bar of colours. */
export function heatTicks({ low, high }: Pick<HeatGrid, "low" | "high">, most: number): number[] {
  return logTicks(low, high, most);
}

/** A table of `size` colours [r, g, b] between stops of #rrggbb. */
export function rampOf(stops: readonly string[], size = 256): Uint8Array {
  const known = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  const ramp = new Uint8Array(size * 3);
  for (let i = 0; i < size; i += 1) {
    const place = (i / (size - 1)) * (known.length - 1);
    const at = Math.min(known.length - 2, Math.floor(place));
    for (let c = 0; c < 3; c += 1) {
      const [a, b] = [known[at]?.[c] ?? 0, known[at + 1]?.[c] ?? 0];
      ramp[i * 3 + c] = Math.round(a + (b - a) * (place - at));
    }
  }
  return ramp;
}
