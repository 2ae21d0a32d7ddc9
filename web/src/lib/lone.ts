/**
 * Values that no line reaches: alone between two breaks, they would not be seen.
 *
 * Rules of this file: pure; it is asked at every redraw.
 */
import type { Values } from "./fold";

/** The places of values, or of a column's low and high, that have no neighbour to draw a line to; null: none. */
export function loneOf(x: readonly number[], ys: Values): number[] | null {
  const found: number[] = [];
  let first = -1;
  let last = -1;
  // one place more than there are: what ends there ends
  for (let at = 0; at <= ys.length; at += 1) {
    const value = at < ys.length ? ys[at] : null;
    if (typeof value === "number") {
      if (first < 0) first = at;
      last = at;
    } else if (value === null && first >= 0) {
      if (x[first] === x[last]) found.push(...(first === last ? [first] : [first, last]));
      first = -1;
    }
  }
  return found.length > 0 ? found : null;
}
