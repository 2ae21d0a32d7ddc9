/**
 * What follows from what the page shows: its theme, its address, its tab, its redraws, its clocks.
 *
 * Rules of this file: effects and timers only; each does one thing, and none changes what the person sees of the run.
 */
import { effect } from "@preact/signals";
import type { RedrawLoop } from "../charts/scheduler";
import { readTheme } from "../charts/theme";
import type { Api } from "../io/api";
import { applyTheme, rememberCharts, showInTab, titleOf } from "../io/browser";
import { troubleOf } from "../io/health";
import type { Run } from "../lib/models";
import { urgentTotal } from "../lib/notices";
import type { Route } from "../lib/route";
import { fullNameOf } from "../lib/runNames";
import { worstHealth } from "../lib/state";
import type { Crier } from "./crier";
import type { Journeys } from "./journeys";
import type { Signals } from "./signals";

const CLOCK_MS = 250;
const HEALTH_MS = 5_000;

export function followTheme({ themeChoice, theme }: Signals, storage: Storage, system: MediaQueryList): void {
  const dress = (): void => {
    applyTheme(storage, themeChoice.value, system.matches);
    theme.value = readTheme(document.documentElement);
  };
  effect(dress);
  system.addEventListener("change", dress);
}

export function followPlaces(signals: Signals, journeys: Journeys): void {
  effect(() => journeys.showAddress());
  effect(() => journeys.follow(signals.state.value));
}

export function followCharts({ range, isGoingOn, theme, overlay, prefs }: Signals, loop: RedrawLoop, storage: Storage): void {
  effect(() => {
    void [range.value, isGoingOn.value, theme.value, overlay.value, prefs.value];
    loop.invalidate("now");
  });
  effect(() => rememberCharts(storage, prefs.value));
}

/** A tab in the background says by its title and its icon how the runs do. */
export function followTab({ state, selectedRun, route, habits, theme }: Signals): void {
  effect(() => {
    void theme.value;
    const isTold = habits.value.tab;
    const urgent = isTold ? urgentTotal(state.value) : 0;
    showInTab(titleOf(urgent, placeOf(route.value, selectedRun.value)), isTold ? worstHealth(state.value) : "unknown");
  });
}

function placeOf(route: Route, run: Run | undefined): string | null {
  if (route.view === "home") return null;
  if (route.view === "compare") return `compare ${route.runs.length} runs`;
  return run === undefined ? null : fullNameOf(run);
}

export function keepTime({ nowMs, trouble }: Signals, clock: () => number, api: Api, crier: Crier): void {
  window.setInterval(() => {
    nowMs.value = clock();
    crier.tidy();
  }, CLOCK_MS);
  const askHealth = (): void => void troubleOf(api).then((found) => found === undefined || (trouble.value = found));
  askHealth();
  window.setInterval(askHealth, HEALTH_MS);
}
