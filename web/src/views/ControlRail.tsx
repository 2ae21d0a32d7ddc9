/** The weights of the run, and what was done to it. */
import type { JSX } from "preact";
import type { Run } from "../lib/models";
import { whyNoControl } from "../lib/state";
import { CommandList } from "./CommandList";
import { usePage } from "./context";
import { WeightControl } from "./WeightControl";

export function ControlRail({ run }: { run: Run }): JSX.Element {
  const page = usePage();
  const canCommand = whyNoControl(page.state.value, run) === null;
  const isAllowed = canCommand && run.controls.includes("set_weight");
  return (
    <div class="rail-lower" id="control">
      <section class="panel" aria-label="Weights">
        <h2>
          Weights <span class="quiet">share of total · weight</span>
        </h2>
        {run.components.length === 0 && <p class="quiet">This run has no components.</p>}
        {run.components.map((component, i) => (
          <WeightControl
            key={`${run.id} ${component.name}`}
            run={run}
            component={component}
            index={i}
            isAllowed={isAllowed}
          />
        ))}
      </section>
      <CommandList isAllowed={canCommand && run.controls.includes("revert")} />
    </div>
  );
}
