/** What came of the last deed, and the way to take it back. */
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { HomeBoard } from "./board";

/** Long enough to read it and to think again; the list of deleted runs and the archive are there for longer. */
const SHOWN_MS = 30_000;

export function UndoToast({ board }: { board: HomeBoard }): JSX.Element | null {
  const told = board.told.value;
  useEffect(() => {
    if (told === null) return undefined;
    const timer = window.setTimeout(() => {
      if (board.told.peek() === told) board.told.value = null;
    }, SHOWN_MS);
    return () => window.clearTimeout(timer);
  }, [board, told]);
  if (told === null) return null;
  const undo = told.undo;
  return (
    <div class="toast home-toast" role="status" data-testid="home-toast">
      <span>{told.text}</span>
      {undo !== null && (
        <button
          type="button"
          class="button button-small"
          data-testid="home-undo"
          onClick={() => {
            board.told.value = null;
            void undo();
          }}
        >
          Undo
        </button>
      )}
      <button type="button" class="button button-small" onClick={() => (board.told.value = null)}>
        close
      </button>
    </div>
  );
}
