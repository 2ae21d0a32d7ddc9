/** One component's weight: slider and exact field within its bounds, and what would follow, before it is applied. */
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { colourOf } from "../charts/theme";
import { exact, share, short } from "../lib/format";
import type { Command, Component, Run } from "../lib/models";
import { look } from "../lib/palette";
import { isPending, lastWeightCommand } from "../lib/state";
import { POSITIONS, type Scale, positionOf, preview, scaleOf, weightAt, weightOf } from "../lib/weights";
import { CommandLife } from "./CommandLife";
import { usePage } from "./context";

export interface WeightControlProps {
  readonly run: Run;
  readonly component: Component;
  readonly index: number;
  readonly isAllowed: boolean;
}

/** What a person chose and has not applied. */
interface Draft {
  /** null follows the run */
  readonly typed: Signal<string | null>;
  /** the weight on the slider: the choice, or the run's where there is none that can be read */
  readonly chosen: number | null;
  readonly fault: string | null;
  readonly isDirty: boolean;
}

function useDraft({ name, weight }: Component, scale: Scale, command: Command | null): Draft {
  const typed = useSignal<string | null>(null);
  // The slider stays where the person left it until the command is decided, and then follows the run again.
  useEffect(() => {
    if (command?.state === "applied") typed.value = null;
  }, [typed, name, command?.id, command?.state]);
  if (typed.value === null) return { typed, chosen: weight, fault: null, isDirty: false };
  const entry = weightOf(typed.value, scale);
  return { typed, chosen: entry.weight ?? weight, fault: entry.fault, isDirty: entry.weight !== weight };
}

export function WeightControl({ run, component, index, isAllowed }: WeightControlProps): JSX.Element {
  const page = usePage();
  const { name } = component;
  const scale = scaleOf(component);
  const command = lastWeightCommand(page.state.value.detail, name);
  const draft = useDraft(component, scale, command);
  const refusal = useSignal<string | null>(null);
  const isUnderWay = command !== null && isPending(command);
  const isFailed = command !== null && command.state !== "applied" && !isUnderWay && draft.typed.value !== null;
  const canApply = isAllowed && draft.isDirty && draft.fault === null && !isUnderWay;
  const apply = async (): Promise<void> => {
    if (!canApply) return;
    refusal.value = await page.actions.command("set_weight", { component: name, value: draft.chosen });
  };
  return (
    <div class="weight">
      <WeightHead component={component} index={index} draft={draft} isAllowed={isAllowed} onEnter={() => void apply()} />
      <div class="weight-entry">
        <WeightSlider component={component} scale={scale} draft={draft} isAllowed={isAllowed} />
        <button
          type="button"
          class={draft.isDirty ? "button button-main" : "button"}
          data-testid={`weight-apply-${name}`}
          disabled={!canApply}
          onClick={() => void apply()}
        >
          Apply
        </button>
        <button
          type="button"
          class="button icon"
          title="forget the change"
          aria-label={`forget the change of ${name}`}
          disabled={draft.typed.value === null}
          onClick={() => (draft.typed.value = null)}
        >
          ✕
        </button>
      </div>
      <p class={`weight-preview number${draft.fault === null ? "" : " fault"}`}>
        {draft.fault ?? (draft.isDirty ? previewText(run, component, draft.chosen) : boundsText(component, scale))}
      </p>
      {(isUnderWay || isFailed) && <CommandLife command={command} />}
      {refusal.value !== null && <p class="fault">{refusal.value}</p>}
    </div>
  );
}

interface HeadProps {
  readonly component: Component;
  readonly index: number;
  readonly draft: Draft;
  readonly isAllowed: boolean;
  readonly onEnter: () => void;
}

/** The component's colour, name and live share, and its weight to the last digit. */
function WeightHead({ component, index, draft, isAllowed, onEnter }: HeadProps): JSX.Element {
  const { name, weight } = component;
  const theme = usePage().theme.value;
  return (
    <div class="weight-head">
      <svg class="dot" viewBox="0 0 8 8" aria-hidden="true">
        <rect width="8" height="8" rx="2" fill={colourOf(theme, look(index))} />
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
        aria-invalid={draft.fault !== null}
        data-testid={`weight-input-${name}`}
        disabled={!isAllowed}
        value={draft.typed.value ?? exact(weight)}
        onInput={(event) => (draft.typed.value = event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") onEnter();
        }}
      />
    </div>
  );
}

interface SliderProps {
  readonly component: Component;
  readonly scale: Scale;
  readonly draft: Draft;
  readonly isAllowed: boolean;
}

function WeightSlider({ component, scale, draft, isAllowed }: SliderProps): JSX.Element {
  return (
    <input
      class="slider"
      type="range"
      min={0}
      max={POSITIONS}
      step={1}
      aria-label={`${component.name} weight, logarithmic`}
      aria-valuetext={short(draft.chosen)}
      data-testid={`weight-slider-${component.name}`}
      disabled={!isAllowed}
      value={positionOf(draft.chosen, scale)}
      onInput={(event) => (draft.typed.value = short(weightAt(event.currentTarget.valueAsNumber, scale), 3))}
    />
  );
}

function previewText(run: Run, component: Component, weight: number | null): string {
  if (weight === null) return "";
  const then = preview(run.components, component.name, weight);
  return `${short(component.weight)} → ${short(weight)}: share ${share(component.share)} → ${share(then.share)}, total ${short(run.total)} → ${short(then.total)}`;
}

function boundsText(component: Component, scale: Scale): string {
  const bounds = Number.isFinite(component.high)
    ? `allowed ${short(scale.low)} to ${short(scale.high)}`
    : `allowed from ${short(scale.low)}`;
  const isHeld =
    component.scheduledWeight !== null && component.weight !== null && component.scheduledWeight !== component.weight;
  return isHeld ? `${bounds}; the schedule says ${short(component.scheduledWeight)}` : bounds;
}
