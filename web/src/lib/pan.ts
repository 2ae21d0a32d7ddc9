/**
 * Looking back: moving and narrowing the window of steps by keys and by the map.
 *
 * Rules of this file: pure. A window keeps its width when it is moved, stays within the steps that there are, and is
 * never narrower than lib/fold.ts allows; what covers the whole run is the whole run, and follows it.
 */
import { type Range, type Window, zoomedTo } from "./fold";

type Extent = readonly [number, number];

/** The window moved by `part` of its width. */
export function panned(window: Window, extent: Extent, part: number): Range {
  const by = Math.round((window.to - window.from) * part) || Math.sign(part);
  return placed(window.from + by, window.to - window.from, extent);
}

/** The window with its middle at `step`. */
export function centredAt(window: Window, extent: Extent, step: number): Range {
  const width = window.to - window.from;
  return placed(step - width / 2, width, extent);
}

function placed(from: number, width: number, [first, last]: Extent): Range {
  if (width >= last - first) return { kind: "all" };
  const start = Math.max(first, Math.min(last - width, from));
  return zoomedTo(start, start + width);
}

/** The window made `factor` times as wide, with `about` where it was; wide enough, it is the whole run. */
export function widened(window: Window, extent: Extent, factor: number, about?: number): Range {
  const middle =
    about !== undefined && about >= window.from && about <= window.to ? about : (window.from + window.to) / 2;
  const from = middle - (middle - window.from) * factor;
  const to = middle + (window.to - middle) * factor;
  if (factor > 1 && from <= extent[0] && to >= extent[1]) return { kind: "all" };
  return zoomedTo(Math.max(extent[0], from), Math.min(Math.max(extent[1], extent[0] + 1), to));
}

/** As many steps on either side of a mark as show what led to it and what came of it. */
const AROUND_PART = 0.05;
const AROUND_LEAST = 40;

/** The steps around a mark. */
export function around(step: number, extent: Extent): Range {
  const half = Math.max(AROUND_LEAST, Math.round((extent[1] - extent[0]) * AROUND_PART));
  return zoomedTo(Math.max(extent[0], step - half), Math.max(step + half, extent[0] + 1));
}
