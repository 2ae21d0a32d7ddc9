/** Which runs are compared: a list to tick, with a filter. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { step } from "../../lib/format";
import { COMPARED_MAX } from "../../lib/route";
import { fullNameOf, isCalled } from "../../lib/runNames";
import { Dialog } from "../Dialog";
import { HealthLight } from "../HealthLight";
import { usePage } from "../context";

export interface RunPickerProps {
  readonly runs: readonly string[];
  readonly onPicked: (runs: readonly string[]) => void;
  readonly onClose: () => void;
}

export function RunPicker({ runs, onPicked, onClose }: RunPickerProps): JSX.Element {
  const { state } = usePage();
  const filter = useSignal("");
  // What is put away is still compared where somebody asked for it, and can be left out.
  const all = state.value.order.flatMap((id) => state.value.runs[id] ?? []);
  const offered = all.filter((run) => !run.archived || run.id === state.value.selected || runs.includes(run.id));
  const shown = offered.filter((run) => isCalled(run, filter.value));
  const toggle = (id: string, isOn: boolean): void =>
    onPicked(isOn ? [...runs, id] : runs.filter((other) => other !== id));
  return (
    <Dialog title="Compare runs" onClose={onClose}>
      <input
        class="field"
        type="search"
        placeholder="Filter runs"
        aria-label="Filter runs"
        value={filter.value}
        onInput={(event) => (filter.value = event.currentTarget.value)}
      />
      <p class="quiet">
        {runs.length} of at most {COMPARED_MAX} chosen, in the order in which they are ticked.
      </p>
      <div class="compare-picker">
        {shown.map((run) => (
          <label key={run.id} class="compare-pick" title={run.id}>
            <input
              type="checkbox"
              checked={runs.includes(run.id)}
              disabled={!runs.includes(run.id) && runs.length >= COMPARED_MAX}
              data-testid="compare-pick"
              data-run={run.id}
              onChange={(event) => toggle(run.id, event.currentTarget.checked)}
            />
            <HealthLight health={run.health} />
            <span class="compare-pick-name">{fullNameOf(run)}</span>
            <span class="quiet">{run.state}</span>
            <span class="quiet number">{step(run.step)}</span>
          </label>
        ))}
        {shown.length === 0 && <p class="quiet">No run matches.</p>}
      </div>
    </Dialog>
  );
}
