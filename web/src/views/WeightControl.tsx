/** One component's weight: slider and exact field within its bounds, and what would follow, before it is applied. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { colourOf } from "../charts/theme";
import { exact, share, short } from "../lib/format";
import type { Component, Run } from "../lib/models";
import { look } from "../lib/palette";
import { isPending, lastWeightCommand } from "../lib/state";
import { POSITIONS, positionOf, preview, scaleOf, weightAt, weightOf } from "../lib/weights";
import { CommandLife } from "./CommandLife";
import { usePage } from "./context";

export interface WeightControlProps {
  readonly run: Run;
  readonly component: Component;
  readonly index: number;
  readonly isAllowed: boolean;
}

export function WeightControl({ run, component, index, isAllowed }: WeightControlProps): JSX.Element {
  const page = usePage();
  const { name, weight } = component;
  const scale = scaleOf(component);
  /** what a person chose and has not applied; null follows the run */
  const typed = useSignal<string | null>(null);
  const fault = useSignal<string | null>(null);
  const command = lastWeightCommand(page.state.value.detail, name);
  const isUnderWay = command !== null && isPending(command);
  const entry = weightOf(typed.value ?? "", scale);
  const chosen = typed.value === null ? weight : entry.weight;
  const isDirty = typed.value !== null && chosen !== weight;

  // The slider stays where the person left it until the command is decided, and then follows the run again.
  useEffect(() => {
    if (command?.state === "applied") typed.value = null;
  }, [typed, command?.id, command?.state]);

  const apply = async (): Promise<void> => {
    if (entry.weight !== null)
      fault.value = await page.actions.command("set_weight", { component: name, value: entry.weight });
  };
  const isFailed = command !== null && command.state !== "applied" && !isUnderWay && typed.value !== null;
  return (
    <div class="weight">
      <div class="weight-head">
        <svg class="dot" viewBox="0 0 8 8" aria-hidden="true">
          <rect width="8" height="8" rx="2" fill={colourOf(page.theme.value, look(index))} />
        </svg>
        <span class="weight-name" title={name}>
          {name}
        </span>
        <span class="weight-share number">{share(component.share)}</span>
        <input
          class="field number"
          type="text"
          inputMode="decimal"
          aria-label={`${name} weight, exact`}
          aria-invalid={typed.value !== null && entry.fault !== null}
          data-testid={`weight-input-${name}`}
          disabled={!isAllowed}
          value={typed.value ?? exact(weight)}
          onInput={(event) => (typed.value = event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Enter" && isDirty && void apply()}
        />
      </div>
      <div class="weight-entry">
        <input
          class="slider"
          type="range"
          min={0}
          max={POSITIONS}
          step={1}
          aria-label={`${name} weight, logarithmic`}
          aria-valuetext={short(chosen ?? weight)}
          data-testid={`weight-slider-${name}`}
          disabled={!isAllowed}
          value={positionOf(chosen ?? weight, scale)}
          onInput={(event) => (typed.value = short(weightAt(event.currentTarget.valueAsNumber, scale), 3))}
        />
        <button
          type="button"
          class={isDirty ? "button button-main" : "button"}
          data-testid={`weight-apply-${name}`}
          disabled={!isAllowed || !isDirty || entry.fault !== null || isUnderWay}
          onClick={() => void apply()}
        >
          Apply
        </button>
        <button
          type="button"
          class="button icon"
          title="forget the change"
          aria-label={`forget the change of ${name}`}
          disabled={typed.value === null}
          onClick={() => (typed.value = null)}
        >
          ✕
        </button>
      </div>
      <p class="weight-preview number">
        {typed.value !== null && entry.fault !== null ? (
          <span class="fault">{entry.fault}</span>
        ) : isDirty && chosen !== null ? (
          previewText(run, component, chosen)
        ) : (
          boundsText(component, scale)
        )}
      </p>
      {(isUnderWay || isFailed) && <CommandLife command={command} />}
      {fault.value !== null && <p class="fault">{fault.value}</p>}
    </div>
  );
}

function previewText(run: Run, component: Component, weight: number): string {
  const then = preview(run.components, component.name, weight);
  return `${short(component.weight)} → ${short(weight)}: share ${share(component.share)} → ${share(then.share)}, total ${short(run.total)} → ${short(then.total)}`;
}

function boundsText(component: Component, scale: { low: number; high: number }): string {
  const bounds = Number.isFinite(component.high)
    ? `allowed ${short(scale.low)} to ${short(scale.high)}`
    : `allowed from ${short(scale.low)}`;
  const isHeld =
    component.scheduledWeight !== null && component.weight !== null && component.scheduledWeight !== component.weight;
  return isHeld ? `${bounds}; the schedule says ${short(component.scheduledWeight)}` : bounds;
}
