/** How many points of the run share a column of pixels in a window, in the detail where that is there. */
import { type Density, densityOf } from "../../lib/density";
import type { Window } from "../../lib/fold";
import { clockOf } from "../../lib/gaps";
import type { Page } from "../context";

export function isDetailed({ store }: Page, { from, to }: Window): boolean {
  const { zoomed } = store;
  return zoomed !== null && zoomed.from <= from && to <= zoomed.to;
}

export function shownDensity(page: Page, window: Window): Density | null {
  const { zoomed, buffers } = page.store;
  const clock = clockOf(zoomed !== null && isDetailed(page, window) ? zoomed.buffers : buffers);
  return densityOf(clock, window, Math.max(1, page.columns.value));
}
