/**
 * What the page knows and shows, as signals.
 *
 * Rules of this file: it builds them and derives one from the other; nothing here acts.
 */
import { type ReadonlySignal, type Signal, computed, signal } from "@preact/signals";
import { chartsOf } from "../charts/catalogue";
import { type Overlay, bandsOf, marksOf } from "../charts/overlay";
import type { ChartSpec } from "../charts/spec";
import { type Theme, readTheme } from "../charts/theme";
import {
  type Bell,
  type ThemeChoice,
  applyTheme,
  rememberedCharts,
  rememberedHabits,
  rememberedTheme,
} from "../io/browser";
import type { ChartPrefs } from "../lib/chartPrefs";
import type { Chosen } from "../lib/crowd";
import type { Range } from "../lib/fold";
import type { Habits } from "../lib/habits";
import type { Run } from "../lib/models";
import type { Route } from "../lib/route";
import type { Explained } from "../lib/span";
import { INITIAL, type State, alertsOf, commandsOf, isOver } from "../lib/state";
import type { Toast } from "../lib/toasts";

/** The server's times are epoch seconds; nothing on the page needs them finer than this. */
const WALL_S = 10;

export interface Signals {
  readonly state: Signal<State>;
  readonly route: Signal<Route>;
  readonly range: Signal<Range>;
  readonly cursor: Signal<number | null>;
  readonly columns: Signal<number>;
  readonly prefs: Signal<ChartPrefs>;
  readonly pointsSeen: Signal<number>;
  readonly pointsAtMs: Signal<number | null>;
  readonly nowMs: Signal<number>;
  readonly wallS: ReadonlySignal<number>;
  /** series that have points */
  readonly names: Signal<readonly string[]>;
  readonly crowds: Signal<readonly Chosen[]>;
  readonly shownCard: Signal<string | null>;
  readonly trouble: Signal<string | null>;
  readonly explained: Signal<Explained | null>;
  readonly themeChoice: Signal<ThemeChoice>;
  readonly theme: Signal<Theme>;
  readonly bell: Signal<Bell>;
  readonly habits: Signal<Habits>;
  readonly toasts: Signal<readonly Toast[]>;
  readonly selectedRun: ReadonlySignal<Run | undefined>;
  /** more steps of the run on the screen will come */
  readonly isGoingOn: ReadonlySignal<boolean>;
  readonly charts: ReadonlySignal<readonly ChartSpec[]>;
  readonly overlay: ReadonlySignal<Overlay>;
}

export interface Beginning {
  readonly route: Route;
  readonly storage: Storage;
  readonly nowMs: number;
  readonly bell: Bell;
  readonly systemIsDark: boolean;
}

export function newSignals({ route, storage, nowMs, bell, systemIsDark }: Beginning): Signals {
  const themeChoice = rememberedTheme(storage);
  applyTheme(storage, themeChoice, systemIsDark);
  const state = signal(INITIAL);
  const clock = signal(nowMs);
  const names = signal<readonly string[]>([]);
  const crowds = signal<readonly Chosen[]>([]);
  return {
    state,
    route: signal(route),
    range: signal<Range>({ kind: "all" }),
    cursor: signal<number | null>(null),
    columns: signal(0),
    prefs: signal(rememberedCharts(storage)),
    pointsSeen: signal(0),
    pointsAtMs: signal<number | null>(null),
    nowMs: clock,
    wallS: wallOf(clock),
    names,
    crowds,
    shownCard: signal<string | null>(null),
    trouble: signal<string | null>(null),
    explained: signal<Explained | null>(null),
    themeChoice: signal(themeChoice),
    theme: signal(readTheme(document.documentElement)),
    bell: signal(bell),
    habits: signal(rememberedHabits(storage)),
    toasts: signal<readonly Toast[]>([]),
    ...derived(state, names, crowds),
  };
}

function wallOf(clock: ReadonlySignal<number>): ReadonlySignal<number> {
  return computed(() => {
    void clock.value;
    return Math.floor(Date.now() / (WALL_S * 1000)) * WALL_S;
  });
}

type Derived = Pick<Signals, "selectedRun" | "isGoingOn" | "charts" | "overlay">;

function derived(
  state: Signal<State>,
  names: Signal<readonly string[]>,
  crowds: Signal<readonly Chosen[]>,
): Derived {
  const selectedRun = computed(() => {
    const { runs, selected } = state.value;
    return selected === null ? undefined : runs[selected];
  });
  const isGoingOn = computed(() => selectedRun.value !== undefined && !isOver(selectedRun.value));
  const componentNames = computed(() => (selectedRun.value?.components ?? []).map(({ name }) => name).join("\n"));
  const series = computed(() => state.value.detail.series);
  const detail = computed(() => state.value.detail);
  const charts = computed(() => {
    const known = new Set([...series.value.map((info) => info.name), ...names.value]);
    const components = componentNames.value === "" ? [] : componentNames.value.split("\n");
    return chartsOf([...known], components, series.value, crowds.value);
  });
  const overlay = computed(() => ({
    bands: bandsOf(detail.value.stages, detail.value.events),
    marks: marksOf(alertsOf(detail.value), commandsOf(detail.value), detail.value.events),
  }));
  return { selectedRun, isGoingOn, charts, overlay };
}
