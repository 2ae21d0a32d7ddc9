/** What a pressed mark says, with a way to look at the steps around it. */
import type { JSX } from "preact";
import type { Mark } from "../../charts/overlay";
import { step } from "../../lib/format";
import { around } from "../../lib/pan";
import { usePage } from "../context";

export function MarkNote({ mark, onClose }: { mark: Mark; onClose: () => void }): JSX.Element {
  const { store, actions } = usePage();
  const zoom = (): void => {
    const extent = store.extent();
    if (extent !== null) actions.setRange(around(mark.step, extent));
  };
  return (
    <div class="mark-note" role="status" data-testid="mark-note">
      <p>{mark.text}</p>
      <button type="button" class="button button-small" data-testid="mark-zoom" onClick={zoom}>
        zoom to step {step(mark.step)}
      </button>
      <button type="button" class="button button-small button-quiet" aria-label="Close this note" onClick={onClose}>
        close
      </button>
    </div>
  );
}
