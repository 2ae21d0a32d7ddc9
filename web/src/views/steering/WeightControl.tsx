/** One component's weight: slider and exact field within its bounds, what would follow before it is applied, the gate. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Fields } from "../../lib/decode";
import { type Ground, promiseText } from "../../lib/deeds";
import { share, short } from "../../lib/format";
import type { Component, Run } from "../../lib/models";
import { POSITIONS, type Scale, positionOf, preview, scaleOf, weightAt } from "../../lib/weights";
import { GateProposal } from "./GateProposal";
import { OrderOutcome } from "./OrderOutcome";
import { Terms, type TermsState, useTerms } from "./Terms";
import { useOrder } from "./useOrder";
import { type Draft, useWeightDraft } from "./useWeightDraft";
import { useWhatIf } from "./useWhatIf";
import { WeightFacts } from "./WeightFacts";
import { WeightHead } from "./WeightHead";
import { WhatIfView } from "./WhatIfView";

export interface WeightControlProps {
  readonly run: Run;
  readonly component: Component;
  readonly index: number;
  readonly isAllowed: boolean;
  readonly canGate: boolean;
  readonly isGated: boolean;
  readonly ground: Ground;
}

export function WeightControl(props: WeightControlProps): JSX.Element {
  const { run, component, isAllowed, isGated, ground } = props;
  const { name } = component;
  const scale = scaleOf(component);
  const ordering = useOrder(run.id);
  const draft = useWeightDraft(component, scale, ordering);
  const terms = useTerms();
  const isGating = useSignal(false);
  const args = argsOf(name, draft, terms);
  const canApply = isAllowed && args !== null && !ordering.isUnderWay;
  const apply = async (): Promise<void> => {
    if (canApply && (await ordering.send("set_weight", args, draft.seen))) terms.clear();
  };
  const forget = (): void => {
    draft.forget();
    terms.clear();
  };
  const sendGate = async (gate: Fields, seen: number): Promise<void> => {
    if (await ordering.send("gate", gate, seen)) isGating.value = false;
  };
  return (
    <div class="weight">
      <WeightHead
        {...props}
        draft={draft}
        isGating={isGating.value}
        onGate={() => (isGating.value = !isGating.value)}
        onEnter={() => void apply()}
        onForget={forget}
      />
      <WeightEntry
        component={component}
        scale={scale}
        draft={draft}
        isAllowed={isAllowed}
        canApply={canApply}
        onApply={() => void apply()}
        onForget={forget}
      />
      {!draft.isDirty && <WeightFacts component={component} scale={scale} isGated={isGated} />}
      {draft.fault !== null && <p class="weight-preview fault">{draft.fault}</p>}
      {draft.isDirty && draft.fault === null && (
        <Ahead {...props} draft={draft} terms={terms} args={args} ground={ground} />
      )}
      {isGating.value && (
        <GateProposal
          {...props}
          isDisabled={ordering.isUnderWay}
          onSend={(gate, seen) => void sendGate(gate, seen)}
          onForget={() => (isGating.value = false)}
        />
      )}
      <OrderOutcome ordering={ordering} testid={`outcome-weight-${name}`} />
    </div>
  );
}

function argsOf(name: string, draft: Draft, terms: TermsState): Fields | null {
  if (!draft.isDirty || draft.fault !== null || terms.fault !== null) return null;
  return { component: name, value: draft.chosen, ...terms.args };
}

interface AheadProps extends WeightControlProps {
  readonly draft: Draft;
  readonly terms: TermsState;
  readonly args: Fields | null;
}

/** What will happen and what would have come of it, while the person still decides. */
function Ahead({ run, component, isAllowed, draft, terms, args, ground }: AheadProps): JSX.Element {
  const { name } = component;
  // At its full value: over the last steps a ramp would still be rising, and a lease long be over.
  const foreseen = useWhatIf(
    run.id,
    "set_weight",
    isAllowed && args !== null ? { component: name, value: draft.chosen } : null,
  );
  return (
    <div class="draft">
      <Terms terms={terms} name={name} hasRamp isDisabled={!isAllowed} />
      <WhatIfView
        foreseen={foreseen}
        component={name}
        change={`${short(component.weight)} → ${short(draft.chosen)}:`}
        atOnce={previewText(run, component, draft.chosen)}
        testid={`what-if-${name}`}
      />
      {args !== null && <p class="promise number">{promiseText("set_weight", args, ground)}</p>}
    </div>
  );
}

interface EntryProps extends SliderProps {
  readonly canApply: boolean;
}

function WeightEntry({ canApply, ...slider }: EntryProps): JSX.Element {
  const { draft, component, onApply, onForget } = slider;
  return (
    <div class="weight-entry">
      <WeightSlider {...slider} />
      <button
        type="button"
        class={draft.isDirty ? "button button-main" : "button"}
        data-testid={`weight-apply-${component.name}`}
        disabled={!canApply}
        onClick={onApply}
      >
        Apply
      </button>
      <button
        type="button"
        class="button icon"
        title="forget the change"
        aria-label={`forget the change of ${component.name}`}
        disabled={draft.typed.value === null}
        onClick={onForget}
      >
        ✕
      </button>
    </div>
  );
}

interface SliderProps {
  readonly onApply: () => void;
  readonly onForget: () => void;
  readonly component: Component;
  readonly scale: Scale;
  readonly draft: Draft;
  readonly isAllowed: boolean;
}

function WeightSlider({ component, scale, draft, isAllowed, onApply, onForget }: SliderProps): JSX.Element {
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
      onInput={(event) => draft.choose(short(weightAt(event.currentTarget.valueAsNumber, scale), 3))}
      onKeyDown={(event) => {
        if (event.key === "Enter") onApply();
        if (event.key === "Escape") onForget();
      }}
    />
  );
}

function previewText(run: Run, component: Component, weight: number | null): string {
  if (weight === null) return "";
  const then = preview(run.components, component.name, weight);
  return `${short(component.weight)} → ${short(weight)}: share ${share(component.share)} → ${share(then.share)}, total ${short(run.total)} → ${short(then.total)}`;
}
