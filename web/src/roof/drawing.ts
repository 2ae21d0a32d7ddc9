/**
 * When charts are drawn again, and texts: what the session tells of points becomes redraws.
 *
 * Rules of this file: a chart is asked to redraw, never drawn; what cannot be seen to move waits until there is time.
 */
import type { RedrawLoop } from "../charts/scheduler";
import { windowOf } from "../lib/fold";
import type { PointStore } from "../lib/store";
import type { Signals } from "./signals";

const TEXT_MS = 500;
/** More steps on the screen than any screen has pixels, several times: a new one moves nothing that can be seen. */
const CROWDED_STEPS = 8000;

export class Drawing {
  private isTextAsked = false;
  /** the newest step when points came last */
  private seenTo = 0;

  constructor(
    private readonly signals: Signals,
    private readonly store: PointStore,
    private readonly loop: RedrawLoop,
    private readonly nowMs: () => number,
  ) {}

  /** Points came; `isNew`: of series never seen before. */
  pointsCame(isNew: boolean): void {
    this.signals.pointsAtMs.value = this.nowMs();
    if (isNew) this.tellNames();
    this.tellPoints();
    if (this.isLiveShown()) this.loop.invalidate(this.isCrowded() ? "idly" : "soon");
  }

  historyCame(): void {
    this.tellNames();
    this.tellPoints();
    this.loop.invalidate("now");
  }

  rolledBack(): void {
    this.tellNames();
    this.loop.invalidate("now");
  }

  /** Which series there are to draw has changed. */
  private tellNames(): void {
    const { names, crowds } = this.signals;
    names.value = [...this.store.buffers].filter(([, buffer]) => buffer.length > 0).map(([name]) => name);
    crowds.value = this.store.crowds.map((crowd) => crowd.chosen);
  }

  /** Nobody reads a number that changes more often than twice a second; charts follow some ten times a second. */
  private tellPoints(): void {
    if (this.isTextAsked) return;
    this.isTextAsked = true;
    window.setTimeout(() => {
      this.isTextAsked = false;
      this.signals.pointsSeen.value += 1;
    }, TEXT_MS);
  }

  private isCrowded(): boolean {
    const shown = windowOf(this.signals.range.value, this.store.extent());
    return shown !== null && shown.to - shown.from > CROWDED_STEPS;
  }

  private isLiveShown(): boolean {
    const last = this.store.extent()?.[1] ?? 0;
    const before = Math.min(this.seenTo, last);
    this.seenTo = last;
    const { value } = this.signals.range;
    return value.kind !== "fixed" || value.to >= before - 1;
  }
}
