/** Rolls the run back to its newest healthy snapshot, after saying exactly what that does. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { step } from "../lib/format";
import type { Run } from "../lib/models";
import { whyNoRollback } from "../lib/state";
import { usePage } from "./context";
import { Dialog } from "./Dialog";

export function RollbackButton({ run, onSend }: { run: Run; onSend: () => void }): JSX.Element {
  const page = usePage();
  const isAsking = useSignal(false);
  const refusal = whyNoRollback(page.state.value, run);
  const close = (): void => {
    isAsking.value = false;
  };
  return (
    <div class="deed">
      <button
        type="button"
        class="button"
        data-testid="btn-rollback"
        disabled={refusal !== null}
        title={refusal ?? `To step ${step(run.snapshotStep)}; asks first`}
        onClick={() => (isAsking.value = true)}
      >
        Roll back…
      </button>
      <p class="deed-hint number" data-testid="rollback-hint">
        {run.snapshotStep === null ? "no snapshot yet" : `to step ${step(run.snapshotStep)}`}
      </p>
      {isAsking.value && (
        <Dialog title={`Roll back ${run.project}/${run.name}?`} onClose={close}>
          <p data-testid="rollback-text">{promiseText(run)}</p>
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
                close();
                onSend();
              }}
            >
              Roll back to step {step(run.snapshotStep)}
            </button>
          </div>
        </Dialog>
      )}
    </div>
  );
}

/** What will happen; the newest snapshot may change while a person reads, and the sentence with it. */
function promiseText({ snapshotStep: to, step: at }: Run): string {
  const back = `Weights, optimizer and random state go back in place to step ${step(to)}, the newest healthy snapshot.`;
  const then = "Training goes on with new data.";
  const lost =
    to !== null && at !== null && at >= to
      ? `Steps ${step(to)} to ${step(at)} will be shown no longer, but are kept.`
      : "No step has been made since.";
  return `${back} ${then} ${lost}`;
}
