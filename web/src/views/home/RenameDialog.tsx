/** A person's own name for a run, and a note. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { LABEL_MAX, NOTE_MAX, type RunChange } from "../../lib/home";
import type { Run } from "../../lib/models";
import { nameOf } from "../../lib/runNames";
import { Dialog } from "../Dialog";
import type { HomeBoard } from "./board";

export function RenameDialog({ board, run }: { board: HomeBoard; run: Run }): JSX.Element {
  const label = useSignal(run.label);
  const note = useSignal(run.note);
  const close = (): void => void (board.open.value = null);
  const save = (event: Event): void => {
    event.preventDefault();
    const change: RunChange = {
      ...(label.value.trim() === run.label ? {} : { label: label.value.trim() }),
      ...(note.value.trim() === run.note ? {} : { note: note.value.trim() }),
    };
    close();
    if (Object.keys(change).length === 0) return;
    const name = change.label === undefined ? nameOf(run) : change.label || run.name;
    const text = change.label === undefined ? `The note of ${name} is changed.` : `${nameOf(run)} is now called ${name}.`;
    void board.change(new Map([[run, change]]), text);
  };
  return (
    <Dialog title={`Rename ${nameOf(run)}`} onClose={close}>
      <form class="home-form" onSubmit={save}>
        <label>
          <span>Label (empty: the script's name, {run.name})</span>
          <input
            class="field"
            maxLength={LABEL_MAX}
            data-testid="home-label"
            value={label.value}
            onInput={(event) => (label.value = event.currentTarget.value)}
          />
        </label>
        <label>
          <span>Note</span>
          <textarea
            class="field"
            rows={5}
            maxLength={NOTE_MAX}
            data-testid="home-note"
            value={note.value}
            onInput={(event) => (note.value = event.currentTarget.value)}
          />
        </label>
        <p class="quiet">The run's id, {run.id}, and its name in the training script stay as they are.</p>
        <div class="dialog-deeds">
          <button type="button" class="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="button button-main" data-testid="home-save">
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}
