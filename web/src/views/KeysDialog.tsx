/** The keys. */
import type { JSX } from "preact";
import { Dialog } from "./Dialog";

const KEYS: readonly (readonly [string, string])[] = [
  ["Space", "pause the run, or resume it (press twice)"],
  ["/", "find a run"],
  ["f", "follow the newest step again"],
  ["?", "this list"],
  ["Esc", "close, or leave a field"],
  ["drag, double-click", "zoom all charts, and back"],
];

export function KeysDialog({ onClose }: { onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
