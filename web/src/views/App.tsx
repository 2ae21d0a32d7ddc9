/** The whole page: its head, what is wrong, the view that the route names, the news, the dialogs. */
import type { ComponentChildren, JSX } from "preact";
import { useCallback } from "preact/hooks";
import { incidentsOf } from "../lib/incidents";
import type { Run } from "../lib/models";
import { fullNameOf } from "../lib/runNames";
import { Banners } from "./Banners";
import { ChartStack } from "./ChartStack";
import { ControlRail } from "./ControlRail";
import { Compare } from "./compare/Compare";
import { EmptyState } from "./EmptyState";
import { Home } from "./home/Home";
import { IncidentList } from "./IncidentList";
import { PageDialogs } from "./PageDialogs";
import { RunControls } from "./RunControls";
import { RunList } from "./RunList";
import { Toasts } from "./Toasts";
import { TokenGate } from "./TokenGate";
import { TopBar } from "./TopBar";
import { usePage } from "./context";
import { leadTo } from "./leadTo";
import { EngineDialogs, EngineEntry } from "./rules/EngineEntry";
import { type Engine, useEngine } from "./rules/useEngine";
import { ScheduleContext } from "./steering/schedule";
import { useSchedule } from "./steering/useSchedule";
import { useKeys } from "./useKeys";
import { type Open, useOpen } from "./useOpen";
import { Vitals } from "./Vitals";

export function App(): JSX.Element {
  const page = usePage();
  const open = useOpen();
  const onOpen = useCallback((next: Open) => (open.value = next), [open]);
  const engine = useEngine();
  useKeys(onOpen);
  const { needsToken } = page.state.value;
  const { view } = page.route.value;
  return (
    <div class="app" data-view={needsToken ? "gate" : view}>
      <TopBar onOpen={onOpen} engine={engine} />
      <Banners />
      {view === "run" && !needsToken && (
        <div class="side">
          <RunList />
        </div>
      )}
      {needsToken ? <TokenGate /> : <Shown engine={engine} />}
      <Toasts />
      <EngineDialogs engine={engine} />
      <PageDialogs open={open} engine={engine} />
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
  return (
    <main class="waiting">
      <p class="quiet">{link === "down" ? "The server cannot be reached. Trying again…" : "Loading…"}</p>
    </main>
  );
}

function RunPage({ run, engine }: { run: Run; engine: Engine }): JSX.Element {
  const open = incidentsOf(usePage().state.value.incidents, run.id).filter((incident) => incident.isOpen).length;
  return (
    <ScheduleContext.Provider value={useSchedule(run)}>
      <Vitals run={run} />
      <EngineEntry engine={engine} />
      <main class="middle" tabIndex={-1}>
        <h1 class="sr-only">{fullNameOf(run)}</h1>
        <ChartStack />
      </main>
      <aside class="rail" aria-label="Incidents and control" tabIndex={-1}>
        <RunControls run={run} />
        <IncidentList run={run} />
        <ControlRail run={run} />
      </aside>
      <nav class="jumps" aria-label="Parts of the page">
        <Jump to="alerts">Incidents{open > 0 ? ` (${open})` : ""}</Jump>
        <Jump to="charts">Charts</Jump>
        <Jump to="control">Control</Jump>
      </nav>
    </ScheduleContext.Provider>
  );
}

/** The address names the run, and keeps naming it. */
function Jump({ to, children }: { to: string; children: ComponentChildren }): JSX.Element {
  const jump = (event: MouseEvent): void => {
    event.preventDefault();
    leadTo(`#${to}`);
  };
  return (
    <a href={`#${to}`} onClick={jump}>
      {children}
    </a>
  );
}
