/** What steers the run: weights, stages, optimizer; its ranks; and what was done to it. */
import type { JSX } from "preact";
import { useContext, useRef } from "preact/hooks";
import { type Ground, gatedBy } from "../lib/deeds";
import type { Run } from "../lib/models";
import { type Schedule, stageNow } from "../lib/schedule";
import { commandsOf, whyNoControl } from "../lib/state";
import { CommandList } from "./CommandList";
import { usePage } from "./context";
import { OptimizerPanel, hasOptimizer } from "./steering/OptimizerPanel";
import { RanksPanel } from "./steering/RanksPanel";
import { ScaleAll } from "./steering/ScaleAll";
import { StagePanel } from "./steering/StagePanel";
import { ScheduleContext } from "./steering/schedule";
import { WeightControl } from "./steering/WeightControl";

export function ControlRail({ run }: { run: Run }): JSX.Element {
  const page = usePage();
  const { schedule, fault } = useContext(ScheduleContext);
  const commands = commandsOf(page.state.value.detail);
  const canCommand = whyNoControl(page.state.value, run) === null;
  const can = (kind: string): boolean => canCommand && run.controls.includes(kind);
  const ground = groundOf(run, schedule);
  return (
    <div class="rail-lower" id="control">
      <Parts run={run} />
      <section class="panel" aria-label="Weights">
        <h2>
          Weights <span class="quiet">share of total · gate · weight</span>
        </h2>
        {run.components.length === 0 && <p class="quiet">This run has no components.</p>}
        {run.components.map((component, i) => (
          <WeightControl
            key={`${run.id} ${component.name}`}
            run={run}
            component={component}
            index={i}
            isAllowed={can("set_weight")}
            canGate={can("gate")}
            isGated={schedule?.gated?.has(component.name) ?? gatedBy(commands, component.name, run.step)}
            ground={ground}
          />
        ))}
        {run.components.length > 1 && run.controls.includes("scale_weights") && (
          <ScaleAll key={run.id} run={run} ground={ground} isAllowed={can("scale_weights")} />
        )}
      </section>
      <StagePanel key={run.id} run={run} schedule={schedule} fault={fault} ground={ground} isAllowed={canCommand} />
      <OptimizerPanel key={run.id} run={run} schedule={schedule} ground={ground} isAllowed={canCommand} />
      {run.ranks.length > 1 && <RanksPanel ranks={run.ranks} />}
      <CommandList run={run} canCommand={canCommand} />
    </div>
  );
}

const PARTS = ["Weights", "Stages", "Optimizer", "Ranks", "Commands"] as const;

/** The rail is low: each part is one press away. */
function Parts({ run }: { run: Run }): JSX.Element {
  const rail = useRef<HTMLElement>(null);
  const lead = (part: string): void =>
    rail.current?.parentElement?.querySelector(`section[aria-label="${part}"]`)?.scrollIntoView({ block: "start" });
  const parts = PARTS.filter(
    (part) => (part !== "Optimizer" || hasOptimizer(run)) && (part !== "Ranks" || run.ranks.length > 1),
  );
  return (
    <nav class="steer-parts" ref={rail} aria-label="Parts of control">
      {parts.map((part) => (
        <button key={part} type="button" class="button button-small" onClick={() => lead(part)}>
          {part}
        </button>
      ))}
    </nav>
  );
}

function groundOf(run: Run, schedule: Schedule | null): Ground {
  const stage = schedule === null ? null : (schedule.stages[stageNow(schedule)]?.name ?? null);
  return { step: run.step, position: schedule?.position ?? null, stage, isHeld: schedule?.held != null };
}
