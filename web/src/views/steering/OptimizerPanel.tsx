/** Learning rates and clipping, as far as the training script allows them. */
import type { JSX } from "preact";
import type { Ground } from "../../lib/deeds";
import { short } from "../../lib/format";
import type { Run } from "../../lib/models";
import type { Schedule } from "../../lib/schedule";
import { ValueControl } from "./ValueControl";

export interface OptimizerProps {
  readonly run: Run;
  readonly schedule: Schedule | null;
  readonly ground: Ground;
  readonly isAllowed: boolean;
}

const KINDS = ["set_lr_scale", "set_clip"] as const;

/** Whether the training script allows any of it. */
export function hasOptimizer(run: Run): boolean {
  return KINDS.some((kind) => run.controls.includes(kind));
}

export function OptimizerPanel({ run, schedule, ground, isAllowed }: OptimizerProps): JSX.Element | null {
  const has = (kind: string): boolean => run.controls.includes(kind);
  if (!hasOptimizer(run)) return null;
  const clip = schedule?.clip ?? null;
  return (
    <section class="panel" aria-label="Optimizer">
      <h2>Optimizer</h2>
      {has("set_lr_scale") && (
        <ValueControl
          run={run.id}
          kind="set_lr_scale"
          title="Learning rates ×"
          name="lr-scale"
          label="Multiply learning rates"
          now={`now ${short(schedule?.lrScale ?? 1)}`}
          bounds={run.lrScaleBounds}
          argsOf={(value) => ({ value })}
          ground={ground}
          isAllowed={isAllowed}
        />
      )}
      {has("set_clip") && (
        <ValueControl
          run={run.id}
          kind="set_clip"
          title="Clip norm"
          name="clip"
          label="Clip gradients"
          now={clip === null ? "now as the script says" : `now ${short(clip)}`}
          bounds={run.clipBounds}
          argsOf={(value) => ({ value })}
          ground={ground}
          isAllowed={isAllowed}
        />
      )}
    </section>
  );
}
