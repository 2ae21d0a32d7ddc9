/** What can be done to the chosen runs; it keeps its place, so that choosing one moves nothing. */
import type { JSX } from "preact";
import type { RunChange } from "../../lib/home";
import { runsText } from "../../lib/home";
import { namesText, whyNoCompare, whyNoDelete } from "../../lib/homeDeeds";
import type { Run } from "../../lib/models";
import { canControl } from "../../lib/state";
import { usePage } from "../context";
import type { HomeBoard } from "./board";

export function HomeDeeds({ board, chosen }: { board: HomeBoard; chosen: readonly Run[] }): JSX.Element {
  const page = usePage();
  const state = page.state.value;
  const mayChange = canControl(state);
  const isAway = state.link !== "up";
  const none = chosen.length === 0 ? "Choose runs in the list first." : null;
  const away = isAway ? "The server is gone; nothing can be sent until it is back." : null;
  const viewOnly = mayChange ? null : "View only: this token has no control scope.";
  const why = viewOnly ?? none ?? away ?? (board.isBusy.value ? "Under way…" : null);
  const isBack = chosen.length > 0 && chosen.every((run) => run.archived);
  const archive = (): void => {
    const changed = chosen.filter((run) => run.archived === isBack);
    const changes = new Map<Run, RunChange>(changed.map((run) => [run, { archived: !isBack }]));
    const told = changed.length === 1 ? `${namesText(changed)} is` : `${runsText(changed.length)} are`;
    void board.change(changes, `${told} ${isBack ? "back from the archive" : "archived"}.`);
  };
  return (
    <div class="home-deeds" role="group" aria-label="The chosen runs">
      <span class="home-chosen" role="status" data-testid="home-chosen">
        {chosen.length === 0 ? "None chosen" : `${chosen.length} chosen`}
      </span>
      <Deed
        name="compare"
        text="Compare"
        isMain
        why={whyNoCompare(chosen.length)}
        onPress={() => page.actions.go({ view: "compare", runs: chosen.map((run) => run.id) })}
      />
      <Deed
        name="rename"
        text="Rename…"
        why={why ?? (chosen.length > 1 ? "Choose one run to rename." : null)}
        onPress={() => (board.open.value = "rename")}
      />
      <Deed name="tag" text="Tag…" why={why} onPress={() => (board.open.value = "tag")} />
      <Deed name="archive" text={isBack ? "Unarchive" : "Archive"} why={why} onPress={archive} />
      <Deed
        name="delete"
        text="Delete"
        why={why ?? whyNoDelete(chosen, state.scopes.includes("admin"))}
        onPress={() => void board.remove(chosen)}
      />
      <Deed
        name="clear"
        text="Clear"
        why={none}
        onPress={() => (board.chosen.value = new Set())}
      />
      {viewOnly !== null && (
        <span class="view-only" data-testid="home-view-only">
          View only: this token may look at runs and compare them, not rename, tag, archive or delete them.
        </span>
      )}
      {viewOnly === null && chosen.length > 0 && (
        <span class="quiet home-why">{whyNoDelete(chosen, state.scopes.includes("admin")) ?? ""}</span>
      )}
    </div>
  );
}

interface DeedProps {
  readonly name: string;
  readonly text: string;
  readonly isMain?: boolean;
  /** why it cannot be done; null when it can */
  readonly why: string | null;
  readonly onPress: () => void;
}

function Deed({ name, text, isMain = false, why, onPress }: DeedProps): JSX.Element {
  return (
    <button
      type="button"
      class={isMain ? "button button-main" : "button"}
      data-testid={`home-${name}`}
      disabled={why !== null}
      title={why ?? ""}
      onClick={onPress}
    >
      {text}
    </button>
  );
}
