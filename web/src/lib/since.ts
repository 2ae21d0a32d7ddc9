/** What the total did since a command took effect, from the points that the page holds. */
import { short, step as stepText } from "./format";
import type { Command } from "./models";
import type { SeriesBuffer } from "./series";

/** Commands that change the loss of the steps from theirs on; after a rollback there is no value to compare with. */
const CHANGING: readonly string[] = ["set_weight", "revert"];

/** "Since step 812: total 9.2 → 2.31"; null where the points do not say it. */
export function sinceText(command: Command, total: SeriesBuffer | undefined): string | null {
  const { kind, state, step } = command;
  if (state !== "applied" || step === null || !CHANGING.includes(kind) || total === undefined) return null;
  const before = lastBefore(total, step);
  if (before === null || total.lastStep() < step) return null;
  return `Since step ${stepText(step)}: total ${short(before)} → ${short(total.latest())}`;
}

/** The last value before `step`. A bucket that may reach over it is passed by for the one before. */
function lastBefore(buffer: SeriesBuffer, step: number): number | null {
  const at = buffer.indexFrom(step) - 1;
  const isWhole = (buffer.counts[at] ?? 0) <= 1 || (buffer.steps[at + 1] ?? Infinity) === step;
  const index = isWhole ? at : at - 1;
  return index < 0 ? null : (buffer.lasts[index] ?? null);
}
