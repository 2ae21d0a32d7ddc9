/** Tags for the chosen runs: what they have, what they get, and what will happen before it does. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { runsText, tagsOf } from "../../lib/home";
import { tagText, tagged, tagsIn, whyNoTags } from "../../lib/homeDeeds";
import type { Run } from "../../lib/models";
import { Dialog } from "../Dialog";
import type { HomeBoard } from "./board";

export function TagDialog({ board, runs }: { board: HomeBoard; runs: readonly Run[] }): JSX.Element {
  const typed = useSignal("");
  const taken = useSignal<readonly string[]>([]);
  const close = (): void => void (board.open.value = null);
  const give = tagsIn(typed.value);
  const changes = tagged(runs, give, taken.value);
  const fault = whyNoTags(typed.value);
  const told = tagText(runs, give, taken.value);
  const save = (event: Event): void => {
    event.preventDefault();
    close();
    void board.change(changes, `${runsText(changes.size)} tagged: ${told}`);
  };
  const turn = (tag: string): void => {
    taken.value = taken.value.includes(tag) ? taken.value.filter((each) => each !== tag) : [...taken.value, tag];
  };
  return (
    <Dialog title={`Tags of ${runsText(runs.length)}`} onClose={close}>
      <form class="home-form" onSubmit={save}>
        <label>
          <span>Give these tags, with commas between them</span>
          <input
            class="field"
            data-testid="home-tags"
            aria-invalid={fault !== null}
            value={typed.value}
            onInput={(event) => (typed.value = event.currentTarget.value)}
          />
        </label>
        <fieldset class="home-taken">
          <legend>Take these away</legend>
          {tagsOf(runs).map(({ tag, count }) => (
            <label key={tag} class="home-check">
              <input type="checkbox" checked={taken.value.includes(tag)} onChange={() => turn(tag)} />
              {tag} <span class="quiet">{runs.length === 1 ? "" : `on ${count} of ${runs.length}`}</span>
            </label>
          ))}
          {tagsOf(runs).length === 0 && <span class="quiet">They have no tags.</span>}
        </fieldset>
        <p class={fault === null ? "quiet" : "fault"} role="status" data-testid="home-tag-text">
          {fault ?? told}
        </p>
        <div class="dialog-deeds">
          <button type="button" class="button" onClick={close}>
            Cancel
          </button>
          <button
            type="submit"
            class="button button-main"
            data-testid="home-save"
            disabled={fault !== null || changes.size === 0}
          >
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}
