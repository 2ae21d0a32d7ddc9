/**
 * The parts of the total as shares of it, heaped to 100 %.
 *
 * Rules of this file:
 * - Pure. The whole is the sum of the magnitudes of all parts, hidden ones too: with parts of both signs the total itself
 *   is no whole. Negative parts hang below 0, so that nothing looks added that is taken away.
 * - Each column shows the means of its parts; where one has no finite value there, no share is known, and the heap breaks.
 */
import { type Folded, type Frame, type NonFinite, type Values, marksOf, partIn } from "./fold";
import type { SeriesBuffer } from "./series";

export interface ShareFrame extends Frame {
  /** how many of `ys` are heaped upwards; as many again hang below 0, or none */
  readonly upwards: number;
}

/** Each part's share of them all, with its sign; null where the whole is not known or is nothing. */
export function sharesOf(parts: readonly number[]): number[] | null {
  const whole = parts.reduce((sum, part) => sum + Math.abs(part), 0);
  return Number.isFinite(whole) && whole > 0 ? parts.map((part) => part / whole) : null;
}

/** `folded` holds the total and then the parts of `buffers`; `isShown` says of each part whether it is in the heap. */
export function shareHeap(
  folded: Folded,
  buffers: readonly (SeriesBuffer | undefined)[],
  isShown: readonly boolean[],
): ShareFrame {
  const rows = folded.columns.map((cell, i) =>
    sharesOf(buffers.map((buffer, part) => partIn(folded.series[part + 1], cell, buffer, folded.steps[i] ?? 0))),
  );
  const hasNegative = rows.some((row) => row?.some((share, i) => share < 0 && isShown[i] === true));
  const shown = isShown.flatMap((is, i) => (is ? [i] : []));
  const heap = (sign: 1 | -1): Values[] => {
    const sums = new Float64Array(rows.length);
    return shown.map((part) =>
      rows.map((row, at) => {
        const share = row?.[part] ?? 0;
        sums[at] = (sums[at] ?? 0) + (share * sign > 0 ? share : 0);
        return row === null ? null : (sums[at] ?? 0);
      }),
    );
  };
  const nonFinite = marksOf(folded).flatMap((mark): NonFinite[] => {
    const series = shown.indexOf(mark.series - 1);
    return series < 0 ? [] : [{ ...mark, series }];
  });
  const ys = [...heap(1), ...(hasNegative ? heap(-1) : [])];
  return { x: [...folded.steps], ys, centres: [], nonFinite, upwards: shown.length };
}
