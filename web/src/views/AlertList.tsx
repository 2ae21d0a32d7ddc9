/** The alerts: open ones as cards, what is over as lines that open. */
import type { JSX } from "preact";
import { step, words } from "../lib/format";
import type { Alert, Run } from "../lib/models";
import { alertsOf } from "../lib/state";
import { AlertCard } from "./AlertCard";
import { usePage } from "./context";
import { HealthLight } from "./HealthLight";

export function AlertList({ run }: { run: Run }): JSX.Element {
  const page = usePage();
  const alerts = alertsOf(page.state.value.detail);
  const open = alerts.filter((alert) => alert.state !== "resolved");
  const over = alerts.filter((alert) => alert.state === "resolved");
  return (
    <section class="panel alerts" id="alerts" aria-label="Alerts">
      <h2>
        Alerts <span class="quiet">{open.length > 0 ? `${open.length} open` : ""}</span>
      </h2>
      {alerts.length === 0 && (
        <p class="quiet">{page.state.value.detail.isLoaded ? "None. Every rule is quiet on this run." : "Loading…"}</p>
      )}
      {open.map((alert) => (
        <AlertCard key={alert.id} alert={alert} run={run} />
      ))}
      {over.map((alert) => (
        <Resolved key={alert.id} alert={alert} run={run} isOpen={page.shownCard.value === alert.id} />
      ))}
    </section>
  );
}

function Resolved({ alert, run, isOpen }: { alert: Alert; run: Run; isOpen: boolean }): JSX.Element {
  return (
    <details class="resolved" open={isOpen}>
      <summary>
        <HealthLight health={alert.severity} />
        <span class="resolved-what">
          {words(alert.rule)} {alert.component ?? ""}
        </span>
        <span class="number quiet">
          {step(alert.step)} – {step(alert.resolvedStep ?? alert.lastStep)}{" "}
          {alert.rolledBackTo === null ? "resolved" : "undone"}
        </span>
      </summary>
      <AlertCard alert={alert} run={run} />
    </details>
  );
}
