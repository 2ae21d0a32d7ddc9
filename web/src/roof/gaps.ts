/**
 * Steps of the run on the screen that never came.
 *
 * Rules of this file: looked for anew when points came, some times a second; what is zoomed to is looked at in detail.
 */
import { type ReadonlySignal, computed } from "@preact/signals";
import { type Gap, clockOf, gapsOf } from "../lib/gaps";
import type { PointStore } from "../lib/store";
import type { Signals } from "./signals";

export function gapsIn({ pointsSeen, state }: Signals, store: PointStore): ReadonlySignal<readonly Gap[]> {
  const events = computed(() => state.value.detail.events);
  return computed(() => {
    void pointsSeen.value;
    const { zoomed } = store;
    const closer = zoomed === null ? undefined : { from: zoomed.from, to: zoomed.to, clock: clockOf(zoomed.buffers) };
    return gapsOf(events.value, clockOf(store.buffers), closer);
  });
}
