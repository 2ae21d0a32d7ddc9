/** An alert as a line that opens to its card, which is only made then. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { step } from "../lib/format";
import type { Alert, Remedy, Run } from "../lib/models";
import { ruleTitle } from "../lib/ruleTitles";
import { sayingsText } from "../lib/sayings";
import { OPEN_AT_END, isOpen, isOver } from "../lib/state";
import { AlertCard } from "./AlertCard";
import { usePage } from "./context";
import { HealthLight } from "./HealthLight";

interface Props {
  readonly alert: Alert;
  readonly run: Run;
  /** the remedy that its incident offers already */
  readonly offered?: Remedy | null;
}

export function AlertLine({ alert, run, offered = null }: Props): JSX.Element {
  const page = usePage();
  const said = sayingsText(alert, page.wallS.value);
  const isShown = page.shownCard.value === alert.id;
  const isUnfolded = useSignal(isShown);
  return (
    <details
      class={`line line-is-${alert.state}`}
      open={isShown}
      data-testid="alert-line"
      data-alert={alert.id}
      data-rule={alert.rule}
      data-state={alert.state}
      data-step={alert.step}
      onToggle={(event) => (isUnfolded.value = event.currentTarget.open)}
    >
      <summary>
        <HealthLight health={alert.severity} />
        <span class="line-what">
          {ruleTitle(alert.rule)} <span class="quiet">{placeOf(alert)}</span>
          {said !== "" && <span class="line-said"> {said}</span>}
        </span>
        <span class="number quiet">{whenText(alert, run)}</span>
      </summary>
      {(isShown || isUnfolded.value) && <AlertCard alert={alert} run={run} offered={offered} />}
    </details>
  );
}

/** The series that it is of, which mostly names the component too. */
function placeOf({ series, component }: Alert): string {
  return component === null || series.includes(component) ? series : `${component}, ${series}`;
}

function whenText(alert: Alert, run: Run): string {
  if (isOver(run) && isOpen(alert)) return `since ${step(alert.step)}, ${OPEN_AT_END}`;
  if (alert.state !== "resolved") return `since ${step(alert.step)}, ${alert.state}`;
  const end = alert.rolledBackTo === null ? "resolved" : "undone";
  return `${step(alert.step)} – ${step(alert.resolvedStep ?? alert.lastStep)} ${end}`;
}
