/**
 * What a person does to runs in the list: which are chosen, what tags they get, and how it is told.
 *
 * Rules of this file: pure; what will happen is said in the same words as what has happened.
 */
import { type RunChange, TAGS_MAX, TAG_MAX, runsText } from "./home";
import type { Run } from "./models";
import { COMPARED_MAX } from "./route";
import { nameOf } from "./runNames";

export type Chosen = ReadonlySet<string>;

/** One more or one less. */
export function toggled(chosen: Chosen, id: string): Set<string> {
  const next = new Set(chosen);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** All between two of the list, both with them, besides what is chosen already. */
export function stretched(chosen: Chosen, order: readonly string[], from: string, to: string): Set<string> {
  const [a, b] = [order.indexOf(from), order.indexOf(to)];
  if (a < 0 || b < 0) return toggled(chosen, to);
  return new Set([...chosen, ...order.slice(Math.min(a, b), Math.max(a, b) + 1)]);
}

/** Tags as they were typed, with commas between them. */
export function tagsIn(typed: string): string[] {
  return [...new Set(typed.split(",").map((tag) => tag.trim()))].filter((tag) => tag !== "");
}

/** Why these cannot be given, in one sentence; null when they can. */
export function whyNoTags(typed: string): string | null {
  const long = tagsIn(typed).find((tag) => Array.from(tag).length > TAG_MAX);
  return long === undefined ? null : `A tag has at most ${TAG_MAX} characters; “${long.slice(0, 20)}…” has more.`;
}

/** By run: the tags that it will have; runs that stay as they are are left out. */
export function tagged(runs: readonly Run[], give: readonly string[], take: readonly string[]): Map<Run, RunChange> {
  const found = new Map<Run, RunChange>();
  for (const run of runs) {
    const kept = run.tags.filter((tag) => !take.includes(tag));
    const tags = [...kept, ...give.filter((tag) => !kept.includes(tag))];
    if (tags.join("\n") !== run.tags.join("\n")) found.set(run, { tags });
  }
  return found;
}

/** "gives sweep to 2 runs, takes old from 1 run"; what it would do, before it is done. */
export function tagText(runs: readonly Run[], give: readonly string[], take: readonly string[]): string {
  const changed = tagged(runs, give, take);
  if (changed.size === 0) return "Nothing changes.";
  const full = [...changed].find(([, change]) => (change.tags?.length ?? 0) > TAGS_MAX);
  if (full !== undefined) return `${nameOf(full[0])} would have more than ${TAGS_MAX} tags: the server takes no more.`;
  const gives = give.flatMap((tag) => told("gives", tag, "to", count(runs, (run) => !run.tags.includes(tag))));
  const takes = take.flatMap((tag) => told("takes", tag, "from", count(runs, (run) => run.tags.includes(tag))));
  const text = [...gives, ...takes].join(", ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function count(runs: readonly Run[], is: (run: Run) => boolean): number {
  return runs.filter(is).length;
}

function told(verb: string, tag: string, where: string, runs: number): string[] {
  return runs === 0 ? [] : [`${verb} “${tag}” ${where} ${runsText(runs)}`];
}

/** Why the chosen cannot be compared, in one sentence; null when they can. */
export function whyNoCompare(chosen: number): string | null {
  if (chosen < 2) return "Choose two or more runs to compare.";
  return chosen > COMPARED_MAX ? `At most ${COMPARED_MAX} runs can be compared at once.` : null;
}

/** Why the run cannot be deleted, in one sentence; null when it can. */
export function whyNoDelete(runs: readonly Run[], isAdmin: boolean): string | null {
  if (!isAdmin) return "Only the admin's token deletes runs.";
  const connected = runs.filter((run) => run.connected);
  if (connected.length === 0) return null;
  const [first] = connected;
  const which = connected.length === 1 && first !== undefined ? nameOf(first) : `${connected.length} of them`;
  return `Stop it first: the trainer of ${which} is connected.`;
}

/** "a", "a and b", "a, b and 3 more". */
export function namesText(runs: readonly Run[]): string {
  const names = runs.map(nameOf);
  if (names.length <= 2) return names.join(" and ");
  return `${names.slice(0, 2).join(", ")} and ${names.length - 2} more`;
}
