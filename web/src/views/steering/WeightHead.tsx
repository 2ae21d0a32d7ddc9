/** The component's colour, name and live share, its gate, and its weight to the last digit. */
import type { JSX } from "preact";
import { colourOf } from "../../charts/theme";
import { exact, share } from "../../lib/format";
import { look } from "../../lib/palette";
import { usePage } from "../context";
import type { Draft } from "./useWeightDraft";
import type { WeightControlProps } from "./WeightControl";

export interface HeadProps extends WeightControlProps {
  readonly draft: Draft;
  readonly isGating: boolean;
  readonly onGate: () => void;
  readonly onEnter: () => void;
  readonly onForget: () => void;
}

export function WeightHead(props: HeadProps): JSX.Element {
  const { component, index, isAllowed, canGate, isGated, draft } = props;
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
      <span class="weight-share number" title="share of the total">
        {share(component.share)}
      </span>
      <button
        type="button"
        class="button button-small gate"
        aria-expanded={props.isGating}
        aria-label={`${name} is ${isGated ? "gated off" : "on"}; change`}
        title={gateTitle(canGate, isGated)}
        data-testid={`gate-${name}`}
        data-gated={isGated}
        disabled={!canGate}
        onClick={props.onGate}
      >
        {isGated ? "off" : "on"}
      </button>
      <input
        class="field number"
        type="text"
        inputMode="decimal"
        aria-label={`${name} weight, exact`}
        aria-invalid={draft.fault !== null}
        data-testid={`weight-input-${name}`}
        disabled={!isAllowed}
        value={draft.typed.value ?? exact(weight)}
        onInput={(event) => draft.choose(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") props.onEnter();
          if (event.key === "Escape") props.onForget();
        }}
      />
    </div>
  );
}

function gateTitle(canGate: boolean, isGated: boolean): string {
  const now = isGated ? "Gated off: weight 0, left out of the graph" : "Takes part";
  return canGate ? `${now}. Says what will happen before it is sent.` : `${now}. No gate can be set now.`;
}
