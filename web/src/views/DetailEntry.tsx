/** Asks for full detail over some steps; it falls back by itself. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { step } from "../lib/format";
import type { Run } from "../lib/models";
import { isOver } from "../lib/state";

const USUAL_STEPS = 200;
/** As docs/protocol.md bounds it. */
const MOST_STEPS = 100_000;

export interface DetailEntryProps {
  readonly run: Run;
  readonly isAllowed: boolean;
  readonly onSend: (steps: number) => void;
}

export function DetailEntry({ run, isAllowed, onSend }: DetailEntryProps): JSX.Element {
  const typed = useSignal(String(USUAL_STEPS));
  const steps = stepsOf(typed.value);
  const send = (): void => {
    if (isAllowed && steps !== null) onSend(steps);
  };
  const until = steps === null || run.step === null ? null : run.step + steps;
  const isAhead = !isOver(run);
  const hint = !isAhead ? "" : steps === null ? `1 to ${step(MOST_STEPS)} steps` : (detailText(run) ?? untilText(until));
  return (
    <div class="deed">
      <div class="detail-entry">
        <button
          type="button"
          class="button"
          data-testid="btn-instrument"
          disabled={!isAllowed || steps === null}
          title={isAhead ? `Records ${FULL} ${untilText(until)}, then falls back by itself` : "The run is over."}
          onClick={send}
        >
          Full detail
        </button>
        <label>
          for{" "}
          <input
            class="field number"
            type="text"
            inputMode="numeric"
            data-testid="instrument-steps"
            aria-label="steps in full detail"
            aria-invalid={steps === null}
            disabled={!isAllowed}
            value={typed.value}
            onInput={(event) => (typed.value = event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Enter") send();
            }}
          />{" "}
          steps
        </label>
      </div>
      <p class={`deed-hint number${steps === null ? " fault" : ""}`} data-testid="detail-hint">
        {hint}
      </p>
    </div>
  );
}

function stepsOf(typed: string): number | null {
  const steps = /^\d+$/.test(typed.trim()) ? Number(typed) : 0;
  return steps >= 1 && steps <= MOST_STEPS ? steps : null;
}

/** What is recorded in full now; null when nothing is. */
export function detailText(run: Run): string | null {
  if (isOver(run) || run.detailUntil === null || run.detailUntil < (run.step ?? -1)) return null;
  return `full detail until step ${step(run.detailUntil)}`;
}

const FULL = "the norm of every parameter, activations and component gradients at each step";

function untilText(until: number | null): string {
  return until === null ? "for so many steps" : `until about step ${step(until)}`;
}
