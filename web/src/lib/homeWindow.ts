/**
 * Which entries of a long list are in view.
 *
 * Rules of this file: pure. Heights are known and not measured, so that a list of any length costs what is in view.
 */
import type { Run } from "./models";

export type Entry =
  | { readonly kind: "group"; readonly project: string; readonly count: number }
  | { readonly kind: "run"; readonly run: Run };

/** The runs, each group of a project below its head. */
export function entriesOf(runs: readonly Run[], isGrouped: boolean): Entry[] {
  if (!isGrouped) return runs.map((run) => ({ kind: "run", run }));
  const counts = new Map<string, number>();
  for (const run of runs) counts.set(run.project, (counts.get(run.project) ?? 0) + 1);
  return runs.flatMap((run, i): Entry[] => {
    const entry: Entry = { kind: "run", run };
    if (i > 0 && runs[i - 1]?.project === run.project) return [entry];
    return [{ kind: "group", project: run.project, count: counts.get(run.project) ?? 0 }, entry];
  });
}

export interface Heights {
  readonly run: number;
  readonly group: number;
}

export interface View {
  /** the first entry in view, and the one after the last */
  readonly from: number;
  readonly to: number;
  /** pixels of what is left out before and behind */
  readonly before: number;
  readonly behind: number;
}

/** Pixels beyond both edges that are ready before somebody scrolls there. */
const SPARE_PX = 240;

/** The entries between `top` and `bottom`, in pixels from the beginning of the list. */
export function viewOf(entries: readonly Entry[], heights: Heights, top: number, bottom: number): View {
  let [at, from, before] = [0, -1, 0];
  let to = entries.length;
  let end = -1;
  for (let i = 0; i < entries.length; i += 1) {
    const height = entries[i]?.kind === "group" ? heights.group : heights.run;
    if (from < 0 && at + height > top - SPARE_PX) [from, before] = [i, at];
    if (end < 0 && at >= bottom + SPARE_PX) [to, end] = [i, at];
    at += height;
  }
  if (from < 0) return { from: entries.length, to: entries.length, before: at, behind: 0 };
  return { from, to: Math.max(to, from), before, behind: end < 0 ? 0 : at - end };
}
