/** The runs, newest first, with a filter; on a phone the same list opens as a drawer. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { step } from "../lib/format";
import type { Run } from "../lib/models";
import { isCalled, nameOf } from "../lib/runNames";
import { listedRuns } from "../lib/state";
import { usePage } from "./context";
import { HealthLight } from "./HealthLight";

export const FILTER_ID = "run-filter";

export function RunList({ onPicked }: { onPicked?: () => void }): JSX.Element {
  const page = usePage();
  const filter = useSignal("");
  const state = page.state.value;
  const shown = listedRuns(state).filter((run) => isCalled(run, filter.value));
  return (
    <nav class="runs" aria-label="Runs">
      <input
        id={onPicked === undefined ? FILTER_ID : undefined}
        class="field"
        type="search"
        placeholder="Filter runs  ( / )"
        aria-label="Filter runs"
        value={filter.value}
        onInput={(event) => (filter.value = event.currentTarget.value)}
      />
      <ul class="run-items">
        {shown.map((run) => (
          <RunItem key={run.id} run={run} isSelected={run.id === state.selected} onPick={() => pick(run.id)} />
        ))}
      </ul>
      {state.order.length > 0 && shown.length === 0 && <p class="quiet">No run matches.</p>}
    </nav>
  );

  function pick(id: string): void {
    page.actions.select(id);
    onPicked?.();
  }
}

function RunItem({ run, isSelected, onPick }: { run: Run; isSelected: boolean; onPick: () => void }): JSX.Element {
  return (
    <li>
      <button
        type="button"
        class="run-item"
        data-testid="run-item"
        data-run={run.id}
        data-state={run.state}
        data-health={run.health}
        aria-current={isSelected}
        onClick={onPick}
      >
        <HealthLight health={run.health} />
        <span class="run-name" title={`${run.project}/${run.name}`}>
          <span class="run-project">{run.project}/</span>
          {nameOf(run)}
        </span>
        <span class="run-facts">
          <span>{run.state}</span>
          <span class="number">{step(run.step)}</span>
        </span>
      </button>
    </li>
  );
}
