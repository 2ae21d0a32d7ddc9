/**
 * What the lines of a chart say at the cross-hair, or say now.
 *
 * Rules of this file: it reads what is drawn: the detail of a zoomed window where there is one, and the column of pixels
 * under the cross-hair.
 */
import type { ChartSpec } from "../../charts/spec";
import { step } from "../../lib/format";
import { type Reading, columnAt, newestOf, readingAt } from "../../lib/reading";
import type { Page } from "../context";
import { drawnWindow } from "./windows";

export interface Steps {
  readonly from: number;
  readonly to: number;
}

/** The steps under the cross-hair; null where there is none. */
export function stepsAtCursor(page: Page): Steps | null {
  const at = page.cursor.value;
  const window = drawnWindow(page);
  return at === null || window === null ? null : columnAt(window, Math.max(1, page.columns.value), at);
}

export function stepsText({ from, to }: Steps): string {
  return from >= to ? `step ${step(from)}` : `steps ${step(from)} to ${step(to)}`;
}

/** In the order of the chart's lines. */
export function readingsOf(page: Page, spec: ChartSpec, steps: Steps | null): (Reading | null)[] {
  const window = drawnWindow(page);
  return spec.lines.map((line) => {
    if (steps === null || window === null) return newestOf(page.store.buffers.get(line.name));
    const buffer = page.store.view(line.name, window.from, window.to);
    return readingAt(buffer, steps.from, steps.to, page.gaps.value);
  });
}
