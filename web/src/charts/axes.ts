/**
 * The axis of values of a chart: its ends, its lines and what they say.
 *
 * Rules of this file: pure; it knows no chart library. An asked range may be null: there is nothing to draw then.
 */
import { share, tick } from "../lib/format";
import { type Scale, symlogRange, symlogTicks } from "../lib/scale";
import { logTicks } from "../lib/ticks";
import type { Picture } from "./picture";

type Ends = [number, number];
/** CSS pixels between two lines of the axis. */
const LINE_SPACING_PX = 28;

export function rangeOf(picture: Picture, low: number | null, high: number | null): Ends {
  if (picture.form === "shares") return [low === null || low >= 0 ? 0 : Math.min(low * 1.05, -0.02), 1];
  if (picture.scale === "log") return logRange(low, high);
  if (picture.scale === "symlog") return symlogRange(low, high, picture.threshold);
  const { bounds } = picture.spec;
  return bounds === null ? linearRange(low, high, picture.isStacked) : boundedRange(low, high, bounds);
}

/** The lines of an axis `height` CSS pixels high; null: the renderer's own. */
export function splitsOf(picture: Picture, low: number, high: number, height: number): number[] | null {
  const most = Math.max(2, Math.floor(height / LINE_SPACING_PX));
  if (picture.scale === "log") return logTicks(low, high, most);
  return picture.scale === "symlog" ? symlogTicks(low, high, picture.threshold, most) : null;
}

export function labelOf(picture: Pick<Picture, "form">, value: number): string {
  return picture.form === "shares" ? share(value) : tick(value);
}

/** A little more than the quantity's own ends, so that a line upon one of them is seen whole. */
function boundedRange(low: number | null, high: number | null, [least, most]: readonly [number, number]): Ends {
  const pad = (most - least) * 0.03;
  return [Math.min(least, low ?? least) - pad, Math.max(most, high ?? most) + pad];
}

function linearRange(low: number | null, high: number | null, isStacked: boolean): Ends {
  if (low === null || high === null) return [0, 1];
  const bottom = isStacked ? Math.min(0, low) : low;
  const pad = (high - bottom || Math.abs(high) || 1) * 0.08;
  // A quantity that is never negative should not have an axis that is.
  return [isStacked ? bottom : low >= 0 ? Math.max(0, bottom - pad) : bottom - pad, high + pad];
}

function logRange(low: number | null, high: number | null): Ends {
  if (low === null || high === null || !(low > 0)) return [1e-3, 1];
  const pad = Math.max(1.15, (high / low) ** 0.06);
  return [low / pad, high * pad];
}

/** What a scale cannot show, in words; empty where it shows all. */
export function scaleNote(scale: Scale, threshold: number): string {
  return scale === "symlog" ? `linear within ±${tick(threshold)}` : "";
}
