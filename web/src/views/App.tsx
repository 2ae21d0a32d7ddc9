/** The whole page. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useCallback } from "preact/hooks";
import { incidentsOf } from "../lib/incidents";
import type { Run } from "../lib/models";
import { ChartStack } from "./ChartStack";
import { ControlRail } from "./ControlRail";
import { Compare } from "./compare/Compare";
import { Dialog } from "./Dialog";
import { EmptyState } from "./EmptyState";
import { Home } from "./home/Home";
import { IncidentList } from "./IncidentList";
import { KeysDialog } from "./KeysDialog";
import { RunControls } from "./RunControls";
import { RunList } from "./RunList";
import { TokenGate } from "./TokenGate";
import { TopBar } from "./TopBar";
import { usePage } from "./context";
import { EngineDialogs, EngineEntry } from "./rules/EngineEntry";
import { type Engine, useEngine } from "./rules/useEngine";
import { ScheduleContext } from "./steering/schedule";
import { useSchedule } from "./steering/useSchedule";
import { useKeys } from "./useKeys";
import { Vitals } from "./Vitals";

export function App(): JSX.Element {
  const page = usePage();
  const isKeysOpen = useSignal(false);
  const isDrawerOpen = useSignal(false);
  const openKeys = useCallback(() => (isKeysOpen.value = true), [isKeysOpen]);
  const hint = useKeys(openKeys);
  const engine = useEngine();
  const { needsToken, problem } = page.state.value;
  const toast = hint.value ?? problem;
  return (
    <div class="app">
      <TopBar onRuns={() => (isDrawerOpen.value = true)} onKeys={openKeys} engine={engine} />
      {page.trouble.value !== null && (
        <p class="trouble" role="alert" data-testid="trouble">
          {page.trouble.value} Training goes on, and the trainers keep their data.
        </p>
      )}
      <aside class="side">
        <RunList />
      </aside>
      {needsToken ? <TokenGate /> : <Shown engine={engine} />}
      {toast !== null && (
        <div class="toast" role="status">
          <span>{toast}</span>
          {hint.value === null && (
            <button type="button" class="button button-small" onClick={page.actions.dismissProblem}>
              close
            </button>
          )}
        </div>
      )}
      <EngineDialogs engine={engine} />
      {isKeysOpen.value && <KeysDialog onClose={() => (isKeysOpen.value = false)} />}
      {isDrawerOpen.value && (
        <Dialog title="Runs" onClose={() => (isDrawerOpen.value = false)}>
          <RunList onPicked={() => (isDrawerOpen.value = false)} />
        </Dialog>
      )}
    </div>
  );
}

function Shown({ engine }: { engine: Engine }): JSX.Element {
  const route = usePage().route.value;
  if (route.view === "home") return <Home />;
  return route.view === "compare" ? <Compare runs={route.runs} /> : <ShownRun engine={engine} />;
}

function ShownRun({ engine }: { engine: Engine }): JSX.Element {
  const { runs, selected, runsLoaded, order, link } = usePage().state.value;
  const run = selected === null ? undefined : runs[selected];
  if (run !== undefined) return <RunPage key={run.id} run={run} engine={engine} />;
  if (runsLoaded && order.length === 0) return <EmptyState />;
  return <p class="quiet waiting">{link === "down" ? "The server cannot be reached. Trying again…" : "Loading…"}</p>;
}

function RunPage({ run, engine }: { run: Run; engine: Engine }): JSX.Element {
  const open = incidentsOf(usePage().state.value.incidents, run.id).filter((incident) => incident.isOpen).length;
  return (
    <ScheduleContext.Provider value={useSchedule(run)}>
      <Vitals run={run} />
      <EngineEntry engine={engine} />
      <main class="middle">
        <ChartStack />
      </main>
      <aside class="rail">
        <RunControls run={run} />
        <IncidentList run={run} />
        <ControlRail run={run} />
      </aside>
      <nav class="jumps" aria-label="Parts of the page">
        <a href="#alerts">Incidents{open > 0 ? ` (${open})` : ""}</a>
        <a href="#charts">Charts</a>
        <a href="#control">Control</a>
      </nav>
    </ScheduleContext.Provider>
  );
}
