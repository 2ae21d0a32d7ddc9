/** Rolls the run back to its newest healthy snapshot, after saying exactly what that does. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Fields } from "../lib/decode";
import { step } from "../lib/format";
import type { Run } from "../lib/models";
import { fullNameOf } from "../lib/runNames";
import { isOver, whyNoRollback } from "../lib/state";
import { usePage } from "./context";
import { Dialog } from "./Dialog";

/** What a person read when the dialog opened; it stands still while they decide. */
interface Promised {
  readonly to: number;
  /** the run's step at that moment */
  readonly at: number | null;
}

export function RollbackButton({ run, onSend }: { run: Run; onSend: (args: Fields) => void }): JSX.Element {
  const page = usePage();
  const asked = useSignal<Promised | null>(null);
  const refusal = whyNoRollback(page.state.value, run);
  const close = (): void => {
    asked.value = null;
  };
  return (
    <div class="deed">
      <button
        type="button"
        class="button"
        data-testid="btn-rollback"
        disabled={refusal !== null}
        title={refusal ?? `To step ${step(run.snapshotStep)}; asks first`}
        onClick={() => {
          if (run.snapshotStep !== null) asked.value = { to: run.snapshotStep, at: run.step };
        }}
      >
        Roll back…
      </button>
      <p class="deed-hint number" data-testid="rollback-hint">
        {hintText(run)}
      </p>
      {asked.value !== null && (
        <Dialog title={`Roll back ${fullNameOf(run)}?`} onClose={close}>
          <p data-testid="rollback-text">{promiseText(asked.value)}</p>
          {refusal !== null && <p class="fault">{refusal}</p>}
          <div class="dialog-deeds">
            <button type="button" class="button" onClick={close}>
              Cancel
            </button>
            <button
              type="button"
              class="button button-danger"
              data-testid="btn-rollback-confirm"
              disabled={refusal !== null}
              onClick={() => {
                const to = asked.value?.to;
                close();
                // So that it goes to the promised step, or is refused: a newer snapshot may have come meanwhile.
                if (to !== undefined) onSend({ before_step: to + 1 });
              }}
            >
              Roll back to step {step(asked.value.to)}
            </button>
          </div>
        </Dialog>
      )}
    </div>
  );
}

function hintText(run: Run): string {
  if (isOver(run)) return "";
  return run.snapshotStep === null ? "no snapshot yet" : `to step ${step(run.snapshotStep)}`;
}

/** What will happen. */
function promiseText({ to, at }: Promised): string {
  const back = `Weights, optimizer and random state go back in place to step ${step(to)}, the newest healthy snapshot.`;
  const then = "Training goes on with new data.";
  const lost =
    at !== null && at >= to
      ? `Steps ${step(to)} to ${step(at)} will be shown no longer, but are kept.`
      : "No step has been made since.";
  return `${back} ${then} ${lost}`;
}
