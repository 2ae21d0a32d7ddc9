/** The keys, and whether single ones act. */
import type { JSX } from "preact";
import { KEYS } from "../lib/keys";
import { usePage } from "./context";
import { Dialog } from "./Dialog";

export function KeysDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const { habits, actions } = usePage();
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {KEYS.map(({ keys, deed, what }) => (
          <div key={keys}>
            <dt>
              {(deed === null ? [keys] : keys.split(" ")).map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <label class="habit">
        <input
          type="checkbox"
          checked={habits.value.keys}
          data-testid="habit-keys"
          onChange={(event) => actions.setHabits({ keys: event.currentTarget.checked })}
        />
        <span>
          keys without Ctrl act
          <span class="habit-note">turn them off where speech or another tool types into the page</span>
        </span>
      </label>
    </Dialog>
  );
}
