/** What is wrong with the run: incidents, and alerts that belong to none; what is over as lines that open. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { step } from "../lib/format";
import { type Grouped, type Incident, grouped, incidentsOf, titleOf } from "../lib/incidents";
import type { Alert, Run } from "../lib/models";
import { OPEN_AT_END, alertsOf, answersTo, isOver } from "../lib/state";
import { AlertCard } from "./AlertCard";
import { AlertLine } from "./AlertLine";
import { usePage } from "./context";
import { HealthLight } from "./HealthLight";
import { IncidentCard } from "./IncidentCard";

export function IncidentList({ run }: { run: Run }): JSX.Element {
  const { incidents: known, detail } = usePage().state.value;
  const { incidents, others } = grouped(incidentsOf(known, run.id), alertsOf(detail));
  const open = incidents.filter(({ incident }) => incident.isOpen).length;
  const isQuiet = incidents.length === 0 && others.length === 0;
  return (
    <section class="panel alerts" id="alerts" aria-label="Incidents">
      <h2>
        Incidents <span class="quiet">{open > 0 ? `${open} ${isOver(run) ? OPEN_AT_END : "open"}` : ""}</span>
      </h2>
      {isQuiet && <p class="quiet">{detail.isLoaded ? "None. Every rule is quiet on this run." : "Loading…"}</p>}
      {incidents
        .filter(({ incident }) => incident.isOpen)
        .map(({ incident, alerts }) => (
          <IncidentCard key={incident.id} incident={incident} alerts={alerts} run={run} />
        ))}
      <ClosedOnes closed={incidents.filter(({ incident }) => !incident.isOpen)} run={run} isAlone={open === 0} />
      {others.length > 0 && incidents.length > 0 && <h3 class="others-head">Alerts of no incident</h3>}
      {others.map((alert) =>
        alert.state === "resolved" ? (
          <AlertLine key={alert.id} alert={alert} run={run} />
        ) : (
          <AlertCard key={alert.id} alert={alert} run={run} />
        ),
      )}
    </section>
  );
}

/** So many lines of what is over are read at a glance. */
const CLOSED = 5;

interface OnesProps {
  readonly closed: Grouped["incidents"];
  readonly run: Run;
  /** whether no incident is open */
  readonly isAlone: boolean;
}

/** What is over: a line each, the newest first, the older ones in a fold. */
function ClosedOnes({ closed, run, isAlone }: OnesProps): JSX.Element | null {
  const page = usePage();
  const line = ({ incident, alerts }: Grouped["incidents"][number], i: number): JSX.Element => (
    <Closed key={incident.id} incident={incident} alerts={alerts} run={run} isFirst={isAlone && i === 0} />
  );
  const older = closed.slice(CLOSED);
  const isShown = older.some(({ alerts }) => alerts.some((alert) => alert.id === page.shownCard.value));
  return (
    <>
      {closed.slice(0, CLOSED).map(line)}
      {older.length > 0 && (
        <details open={isShown} data-testid="incidents-older">
          <summary class="quiet">{older.length} older, closed</summary>
          {older.map((one, i) => line(one, CLOSED + i))}
        </details>
      )}
    </>
  );
}

interface ClosedProps {
  readonly incident: Incident;
  readonly alerts: readonly Alert[];
  readonly run: Run;
  readonly isFirst: boolean;
}

/** Its card is only there when it is opened: a run of days has hundreds, and each holds a chart and its alerts. */
function Closed({ incident, alerts, run, isFirst }: ClosedProps): JSX.Element {
  const page = usePage();
  const ids = new Set(alerts.map((alert) => alert.id));
  const isShown = page.shownCard.value !== null && ids.has(page.shownCard.value);
  // Who pressed the remedy sees what became of it; the incident may be over in the same moment.
  const isMended = useRef(false);
  // It stays open then: it must not fold away under a reader because something else goes wrong.
  isMended.current ||= isFirst && answersTo(page.state.value.detail, ids).length > 0;
  const isOpen = isShown || isMended.current;
  const isUnfolded = useSignal(isOpen);
  return (
    <details
      class="line line-is-resolved"
      open={isOpen}
      data-testid="incident-closed"
      data-of={incident.id}
      onToggle={(event) => (isUnfolded.value = event.currentTarget.open)}
    >
      <summary>
        <HealthLight health={incident.severity} />
        <span class="line-what">{titleOf(incident)}</span>
        <span class="number quiet">
          {step(incident.firstStep)} – {step(incident.lastStep)} closed
        </span>
      </summary>
      {(isOpen || isUnfolded.value) && <IncidentCard incident={incident} alerts={alerts} run={run} />}
    </details>
  );
}
