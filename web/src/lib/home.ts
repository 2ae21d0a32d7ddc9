/**
 * All runs in one list: what a person looks for in it, in which order, and what is said of it.
 *
 * Rules of this file: pure. Of a run everything by which a person might remember it is searched; what a run does not
 * have goes last, in either direction, so that a sort never hides what it was asked for.
 */
import type { Answer } from "./answer";
import { byName } from "./order";
import { type Health, type Run, type RunState } from "./models";
import { nameOf } from "./runNames";
import { isOver } from "./state";

export const SORTS = ["health", "name", "project", "stage", "step", "total", "rate", "alerts", "age", "began"] as const;
export type SortKey = (typeof SORTS)[number];

export interface Wish {
  readonly search: string;
  /** null: any */
  readonly tag: string | null;
  readonly state: RunState | null;
  readonly sort: SortKey;
  readonly isDown: boolean;
  readonly isGrouped: boolean;
  readonly showsArchived: boolean;
}

export const WISH: Wish = {
  search: "",
  tag: null,
  state: null,
  sort: "began",
  isDown: true,
  isGrouped: false,
  showsArchived: false,
};

export interface RunChange {
  readonly label?: string;
  readonly note?: string;
  readonly tags?: readonly string[];
  readonly archived?: boolean;
}

export interface DeletedRun {
  readonly run: Run;
  /** epoch seconds */
  readonly untilS: number | null;
}

/** By run: the steps of its total, and the largest value at or after each. */
export type Totals = Readonly<Record<string, readonly (readonly [step: number, value: number])[]>>;

/** What is asked of the server about runs as things. */
export interface HomeDesk {
  readonly change: (run: string, change: RunChange) => Promise<Answer<Run>>;
  readonly remove: (run: Run) => Promise<Answer<null>>;
  readonly restore: (run: string) => Promise<Answer<Run>>;
  readonly deleted: () => Promise<Answer<readonly DeletedRun[]>>;
  /** of runs that are not there it says nothing */
  readonly totals: (runs: readonly string[]) => Promise<Answer<Totals>>;
  /** how the list was looked at last in this tab */
  readonly remembered: () => Wish;
  readonly remember: (wish: Wish) => void;
}

/** The server takes so many at once. */
export const TOTALS_MAX = 200;
export const LABEL_MAX = 200;
export const NOTE_MAX = 4000;
export const TAG_MAX = 50;
export const TAGS_MAX = 20;

/** Every word must be found somewhere; a word of two sides, tag:x or state:lost, is looked for in its place. */
export function matches(run: Run, search: string): boolean {
  const words = search.trim().toLowerCase().split(/\s+/);
  const all = [run.project, run.name, run.label, run.note, run.state, run.device, ...run.tags].join("\n").toLowerCase();
  return words.every((word) => {
    if (word.startsWith("tag:")) return run.tags.some((tag) => tag.toLowerCase() === word.slice(4));
    if (word.startsWith("state:")) return run.state === word.slice(6);
    return all.includes(word);
  });
}

/** The runs that are wished for, in the wished order; `ageS` tells the age of a run's newest data. */
export function listed(runs: readonly Run[], wish: Wish, ageS: (run: Run) => number | null): Run[] {
  const found = runs.filter(
    (run) =>
      (wish.showsArchived || !run.archived) &&
      (wish.tag === null || run.tags.includes(wish.tag)) &&
      (wish.state === null || run.state === wish.state) &&
      matches(run, wish.search),
  );
  const sign = wish.isDown ? -1 : 1;
  const keys = new Map(found.map((run) => [run, keyOf(run, wish.sort, ageS)]));
  found.sort((a, b) => compared(keys.get(a) ?? null, keys.get(b) ?? null, sign) || newestFirst(a, b));
  if (wish.isGrouped) found.sort((a, b) => byName(a.project, b.project));
  return found;
}

type Key = number | string | null;

function compared(a: Key, b: Key, sign: number): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  if (typeof a === "string" || typeof b === "string") return sign * byName(String(a), String(b));
  // What is not a number is worse than any.
  const [first, second] = [Number.isNaN(a) ? Infinity : a, Number.isNaN(b) ? Infinity : b];
  return first === second ? 0 : sign * (first < second ? -1 : 1);
}

function newestFirst(a: Run, b: Run): number {
  return (b.startedS ?? 0) - (a.startedS ?? 0) || byName(a.id, b.id);
}

const WORST: readonly Health[] = ["unknown", "ok", "warning", "critical"];

function keyOf(run: Run, sort: SortKey, ageS: (run: Run) => number | null): Key {
  switch (sort) {
    case "health":
      return WORST.indexOf(run.health);
    case "name":
      return nameOf(run);
    case "project":
      return run.project;
    case "stage":
      return run.stage?.index ?? null;
    case "step":
      return run.step;
    case "total":
      return run.total;
    case "rate":
      return rateNow(run);
    case "alerts":
      return run.critical * 1000 + run.warning;
    case "age":
      return ageS(run);
    case "began":
      return run.startedS;
  }
}

/** Columns in which a person looks for the largest first. */
const DOWN_FIRST: readonly SortKey[] = ["health", "step", "total", "rate", "alerts", "began"];

/** What a press on a column's head wishes. */
export function sortedBy(wish: Wish, sort: SortKey): Wish {
  return { ...wish, sort, isDown: wish.sort === sort ? !wish.isDown : DOWN_FIRST.includes(sort) };
}

/** Whether the order goes with the numbers, which change all the time. */
export function isMoving(sort: SortKey): boolean {
  return sort !== "name" && sort !== "project" && sort !== "began";
}

/** Every tag there is, the one that most runs have first. */
export function tagsOf(runs: readonly Run[]): { readonly tag: string; readonly count: number }[] {
  const counts = new Map<string, number>();
  for (const run of runs) for (const tag of run.tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].map(([tag, count]) => ({ tag, count })).sort((a, b) => b.count - a.count || byName(a.tag, b.tag));
}

/** "12 runs · 3 running · 1 critical": what there is at all, and what of it is shown. */
export function countText(all: readonly Run[], shown: number): string {
  const count = (is: (run: Run) => boolean): number => all.filter(is).length;
  const parts = [
    shown === all.length ? runsText(all.length) : `${shown} of ${runsText(all.length)}`,
    ...said(count((run) => run.state === "running"), "running"),
    ...said(count((run) => run.state === "paused"), "paused"),
    ...said(count((run) => run.health === "critical"), "critical"),
    ...said(count((run) => run.health === "warning"), "warning"),
    ...said(count((run) => run.archived), "archived"),
  ];
  return parts.join(" · ");
}

function said(count: number, what: string): string[] {
  return count === 0 ? [] : [`${count} ${what}`];
}

export function runsText(count: number): string {
  return count === 1 ? "1 run" : `${count} runs`;
}

/** How fast it goes; null where it is over: the last that was measured is of its last seconds only. */
export function rateNow(run: Run): number | null {
  return isOver(run) ? null : run.stepsPerS;
}
