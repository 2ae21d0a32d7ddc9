/** The compared runs, each with its line; which is the first, and who else is taken in. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { fullNameOf } from "../../lib/runNames";
import { usePage } from "../context";
import { RunPicker } from "./RunPicker";
import { RunSwatch } from "./RunSwatch";

export function RunChips({ runs }: { readonly runs: readonly string[] }): JSX.Element {
  const page = usePage();
  const isOpen = useSignal(false);
  const known = page.state.value.runs;
  const go = (next: readonly string[]): void => page.actions.go({ view: "compare", runs: next });
  return (
    <div class="compare-runs">
      {runs.map((id, i) => {
        const run = known[id];
        const name = run === undefined ? id : fullNameOf(run);
        return (
          <span key={id} class="compare-chip" data-testid="compare-chip" data-run={id}>
            <RunSwatch index={i} />
            <span class="compare-chip-name" title={id}>
              {name}
            </span>
            {i === 0 ? (
              <span class="quiet">first</span>
            ) : (
              <button
                type="button"
                class="button button-small"
                title={`Compare the others with ${name}`}
                onClick={() => go([id, ...runs.filter((other) => other !== id)])}
              >
                make first
              </button>
            )}
            <button
              type="button"
              class="button button-small"
              aria-label={`Leave ${name} out`}
              onClick={() => go(runs.filter((other) => other !== id))}
            >
              ×
            </button>
          </span>
        );
      })}
      <button
        type="button"
        class="button"
        data-testid="compare-choose"
        onClick={() => (isOpen.value = true)}
      >
        choose runs…
      </button>
      {isOpen.value && <RunPicker runs={runs} onPicked={go} onClose={() => (isOpen.value = false)} />}
    </div>
  );
}
