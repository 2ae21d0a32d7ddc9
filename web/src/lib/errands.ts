/**
 * All that the command palette offers: places, charts, what can be done to the run, and the page's own matters.
 *
 * Rules of this file: pure; what changes a run is only opened from here and ends in "…"; what cannot be done now stays in
 * the list with the reason, so that nobody looks for it in vain.
 */
import type { Run } from "./models";
import { NEWEST, type Route } from "./route";
import { fullNameOf } from "./runNames";
import { sought } from "./seek";
import { type State, listedRuns, whyNoControl } from "./state";

export type OrderKind = "pause" | "resume" | "checkpoint" | "hold_stage" | "release_stage";

export type Deed =
  | { readonly kind: "go"; readonly route: Route }
  | { readonly kind: "chart"; readonly id: string }
  | { readonly kind: "part"; readonly id: "alerts" | "control" }
  | { readonly kind: "order"; readonly order: OrderKind }
  | { readonly kind: "theme"; readonly choice: "auto" | "dark" | "light" }
  | { readonly kind: "dialog"; readonly which: "keys" | "rules" | "notifications" }
  | { readonly kind: "follow" }
  | { readonly kind: "copy" };

export interface Errand {
  readonly id: string;
  readonly group: string;
  readonly title: string;
  readonly deed: Deed;
  /** why it cannot be done now; null when it can */
  readonly refusal: string | null;
}

export interface Ground {
  readonly state: State;
  readonly route: Route;
  readonly charts: readonly { readonly id: string; readonly title: string }[];
}

export function errandsOf(ground: Ground): Errand[] {
  const { state, route } = ground;
  const run = state.selected === null ? undefined : state.runs[state.selected];
  const isRunShown = route.view === "run" && run !== undefined;
  return [
    ...(isRunShown ? orders(state, run) : []),
    ...places(ground, run),
    ...runs(state, isRunShown ? run.id : null),
    ...comparisons(state, run),
    ...(isRunShown ? charts(ground) : []),
    ...PAGE.filter(({ deed }) => isRunShown || deed.kind !== "dialog" || deed.which !== "rules"),
  ];
}

const ORDERS: readonly (readonly [OrderKind, string])[] = [
  ["pause", "Pause this run…"],
  ["resume", "Resume this run…"],
  ["checkpoint", "Write a checkpoint…"],
  ["hold_stage", "Hold the stage…"],
  ["release_stage", "Release the stage…"],
];

function orders(state: State, run: Run): Errand[] {
  const useless = run.state === "paused" ? "pause" : "resume";
  return ORDERS.filter(([kind]) => kind !== useless).map(([kind, title]) => ({
    id: `order ${kind}`,
    group: "this run",
    title,
    deed: { kind: "order", order: kind },
    refusal: whyNoOrder(state, run, kind),
  }));
}

/** By the title, and by what kind of thing it is: "compare", "chart". */
export function soughtErrands(question: string, errands: readonly Errand[]): Errand[] {
  return sought(question, errands, ({ title }) => title, ({ group }) => group);
}

/** Why this order cannot be given to the run now; null when it can. */
export function whyNoOrder(state: State, run: Run, kind: OrderKind): string | null {
  const refusal = whyNoControl(state, run);
  if (refusal !== null) return refusal;
  return run.controls.includes(kind) ? null : "This training script does not allow it.";
}

function places({ route }: Ground, run: Run | undefined): Errand[] {
  const isRun = route.view === "run" && run !== undefined;
  return [
    ...(route.view === "home" ? [] : [place("Home: all runs", { kind: "go", route: { view: "home" } })]),
    ...(isRun ? PARTS : []),
    place("Copy the address of what is on the screen", { kind: "copy" }),
  ];
}

function place(title: string, deed: Deed): Errand {
  return { id: `place ${title}`, group: "go", title, deed, refusal: null };
}

const PARTS: readonly Errand[] = [
  place("Incidents", { kind: "part", id: "alerts" }),
  place("Weights and stages", { kind: "part", id: "control" }),
  place("Follow the newest step", { kind: "follow" }),
];

function runs(state: State, shown: string | null): Errand[] {
  return listedRuns(state)
    .filter(({ id }) => id !== shown)
    .map((run) => ({
      id: `run ${run.id}`,
      group: `run, ${run.state}`,
      title: fullNameOf(run),
      deed: { kind: "go", route: { ...NEWEST, run: run.id } },
      refusal: null,
    }));
}

/** With the run that was looked at last; more than two are chosen in the view itself. */
function comparisons(state: State, run: Run | undefined): Errand[] {
  if (run === undefined) return [];
  return listedRuns(state)
    .filter(({ id }) => id !== run.id)
    .map((other) => ({
      id: `compare ${other.id}`,
      group: "compare",
      title: `Compare ${fullNameOf(run)} with ${fullNameOf(other)}`,
      deed: { kind: "go", route: { view: "compare", runs: [run.id, other.id] } },
      refusal: null,
    }));
}

function charts({ charts: shown }: Ground): Errand[] {
  return shown.map(({ id, title }) => ({
    id: `chart ${id}`,
    group: "chart",
    title,
    deed: { kind: "chart", id },
    refusal: null,
  }));
}

function own(title: string, deed: Deed): Errand {
  return { id: title, group: "page", title, deed, refusal: null };
}

const PAGE: readonly Errand[] = [
  own("Rules that judge this run", { kind: "dialog", which: "rules" }),
  own("Notifications: who is told", { kind: "dialog", which: "notifications" }),
  own("Keys", { kind: "dialog", which: "keys" }),
  own("Theme: dark", { kind: "theme", choice: "dark" }),
  own("Theme: light", { kind: "theme", choice: "light" }),
  own("Theme: as the system says", { kind: "theme", choice: "auto" }),
];
