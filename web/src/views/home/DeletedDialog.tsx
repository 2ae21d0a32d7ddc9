/** Deleted runs, as long as they can be brought back. */
import type { JSX } from "preact";
import { nameOf } from "../../lib/runNames";
import { duration, step } from "../../lib/format";
import { Dialog } from "../Dialog";
import { usePage } from "../context";
import type { HomeBoard } from "./board";

export function DeletedDialog({ board }: { board: HomeBoard }): JSX.Element {
  const page = usePage();
  const isAdmin = page.state.value.scopes.includes("admin");
  const wallS = page.wallS.value;
  const found = board.deleted.value ?? [];
  return (
    <Dialog title="Deleted runs" onClose={() => (board.open.value = null)}>
      <p class="quiet">
        They are hidden, and taken away for good after some time. A trainer that connects to one brings it back too.
      </p>
      {!isAdmin && <p class="view-only">View only: only the admin's token restores runs.</p>}
      {found.length === 0 && <p class="quiet">None.</p>}
      <ul class="home-deleted">
        {found.map(({ run, untilS }) => (
          <li key={run.id} data-testid="home-deleted-run" data-run={run.id}>
            <span class="home-deleted-name">
              <strong>{nameOf(run)}</strong>
              <span class="quiet">
                {run.project} · {run.state} · step {step(run.step)}
              </span>
              <span class="quiet">
                deleted {duration(wallS - (run.deletedS ?? wallS))} ago
                {untilS !== null && `, gone in ${duration(Math.max(0, untilS - wallS))}`}
              </span>
            </span>
            <button
              type="button"
              class="button"
              data-testid="home-restore"
              disabled={!isAdmin || board.isBusy.value}
              onClick={() => void board.restore([run])}
            >
              Restore
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
