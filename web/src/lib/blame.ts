/**
 * The decomposition of a jump, made ready to be seen.
 *
 * Rules of this file: percents that a person reads add up to exactly 100, whatever the rounding; a part may be negative
 * (it held against the jump), so a bar's width is its share of all that moved, and its text the signed percent.
 */
import { short, step } from "./format";
import type { Blame, BlamePart } from "./blamed";

export interface BlameShare extends BlamePart {
  /** whole percent; all of them add up to 100 */
  readonly shown: number;
  /** 0 to 1, of everything that moved either way */
  readonly width: number;
}

/** Rounds to whole numbers that add up to `sum`: the largest remainders take what rounding left over. */
export function rounded(values: readonly number[], sum: number): number[] {
  const floors = values.map(Math.floor);
  let left = sum - floors.reduce((a, b) => a + b, 0);
  const byRemainder = values.map((value, index) => ({ index, remainder: value - Math.floor(value) }));
  byRemainder.sort((a, b) => b.remainder - a.remainder || a.index - b.index);
  for (const { index } of byRemainder) {
    if (left <= 0) break;
    floors[index] = (floors[index] ?? 0) + 1;
    left -= 1;
  }
  return floors;
}

/** The parts, largest first, with percents that add up to 100; empty when they are not finite numbers. */
export function sharesOf(parts: readonly BlamePart[]): BlameShare[] {
  if (parts.length === 0 || !parts.every((part) => Number.isFinite(part.percent))) return [];
  const shown = rounded(
    parts.map((part) => part.percent),
    100,
  );
  const moved = parts.reduce((sum, part) => sum + Math.abs(part.percent), 0);
  const shares = parts.map((part, i) => ({
    ...part,
    shown: shown[i] ?? 0,
    width: moved === 0 ? 0 : Math.abs(part.percent) / moved,
  }));
  return shares.sort((a, b) => Math.abs(b.percent) - Math.abs(a.percent));
}

/** Of what the percents are: "100 % = +5.65, steps 299 to 302". */
export function wholeText({ fromStep, toStep, deltaTotal }: Blame): string {
  const steps = fromStep === null || toStep === null ? "" : `, steps ${step(fromStep)} to ${step(toStep)}`;
  const moved = deltaTotal === null ? "" : ` = ${deltaTotal > 0 ? "+" : ""}${short(deltaTotal, 3)} of the total`;
  return `100 %${moved}${steps}`;
}

/** One part in words: "precursor, its weight by schedule: +7 (98 %)". */
export function partText(part: BlameShare): string {
  const cause = part.cause === "schedule" ? "weight moved" : part.cause === "loss" ? "loss moved" : part.cause;
  const sign = part.delta > 0 ? "+" : "";
  return `${part.component}, ${cause}: ${sign}${short(part.delta, 3)} (${part.shown} %)`;
}
