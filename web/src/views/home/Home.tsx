/** All runs: how each is, and what can be done with them as things. */
import { useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { type Wish, countText, isMoving, listed } from "../../lib/home";
import { stretched, toggled } from "../../lib/homeDeeds";
import type { Run } from "../../lib/models";
import { type State, ageAt } from "../../lib/state";
import { EmptyState } from "../EmptyState";
import { usePage } from "../context";
import { HomeBoard } from "./board";
import { Curves } from "./curves";
import { DeletedDialog } from "./DeletedDialog";
import { HomeBar } from "./HomeBar";
import { HomeDeeds } from "./HomeDeeds";
import { RenameDialog } from "./RenameDialog";
import { RunTable } from "./RunTable";
import { TagDialog } from "./TagDialog";
import { UndoToast } from "./UndoToast";
import { useCalm } from "./useCalm";

/** Nobody reads numbers faster, and hundreds of runs tell theirs once a second each. */
const CALM_MS = 250;
/** Rows that are sorted by what moves change places this often, so that one can be pressed. */
const SORT_MS = 5_000;

export function Home(): JSX.Element {
  const page = usePage();
  const state = useCalm(page.state, CALM_MS);
  const board = useMemo(() => new HomeBoard(page.desks.home), [page]);
  const curves = useMemo(() => new Curves(page.desks.home), [page]);
  const isUp = state.link === "up";
  useEffect(() => void (isUp && board.load()), [board, isUp]);
  const all = state.order.flatMap((id) => state.runs[id] ?? []);
  const shown = useListed(all, state, board.wish.value);
  // Under an open dialog a run may leave the list, and stays what the dialog is about.
  const isAsking = board.open.value !== null;
  const chosen = (isAsking ? all : shown).filter((run) => board.chosen.value.has(run.id));
  useEffect(() => {
    if (state.runsLoaded && !isAsking) board.keep(shown);
  }, [board, state.runsLoaded, isAsking, shown.map(({ id }) => id).join("\n")]);
  const [only] = chosen;
  return (
    <main class="home" data-testid="home">
      <h1 class="sr-only">Runs</h1>
      <HomeBar
        wish={board.wish.value}
        runs={all}
        counts={countText(all, shown.length)}
        deletedCount={board.deleted.value?.length ?? 0}
        onWish={(wish) => board.look(wish)}
        onDeleted={() => (board.open.value = "deleted")}
      />
      {all.length > 0 && <HomeDeeds board={board} chosen={chosen} />}
      {board.fault.value !== null && (
        <p class="fault home-fault" role="alert" data-testid="home-fault">
          {board.fault.value}
        </p>
      )}
      <Listed board={board} curves={curves} state={state} all={all} shown={shown} />
      <UndoToast board={board} />
      {board.open.value === "rename" && only !== undefined && <RenameDialog board={board} run={only} />}
      {board.open.value === "tag" && chosen.length > 0 && <TagDialog board={board} runs={chosen} />}
      {board.open.value === "deleted" && <DeletedDialog board={board} />}
    </main>
  );
}

interface ListedProps {
  readonly board: HomeBoard;
  readonly curves: Curves;
  readonly state: State;
  readonly all: readonly Run[];
  readonly shown: readonly Run[];
}

function Listed({ board, curves, state, all, shown }: ListedProps): JSX.Element {
  const last = useRef<string | null>(null);
  if (!state.runsLoaded)
    return <p class="quiet waiting">{state.link === "down" ? "The server cannot be reached. Trying again…" : "Loading…"}</p>;
  if (all.length === 0) return <EmptyState />;
  if (shown.length === 0)
    return (
      <p class="quiet waiting" data-testid="home-none">
        {all.every((run) => run.archived) ? "All runs are archived: show them with the switch above." : "No run matches."}
      </p>
    );
  const choose = (run: string, isStretched: boolean): void => {
    const from = last.current;
    last.current = run;
    const order = shown.map(({ id }) => id);
    board.chosen.value =
      isStretched && from !== null ? stretched(board.chosen.value, order, from, run) : toggled(board.chosen.value, run);
  };
  const chooseAll = (): void => {
    const isAll = shown.every((run) => board.chosen.value.has(run.id));
    board.chosen.value = new Set(isAll ? [] : shown.map((run) => run.id));
  };
  return (
    <RunTable
      runs={shown}
      state={state}
      wish={board.wish.value}
      chosen={board.chosen.value}
      curves={curves}
      onWish={(wish) => board.look(wish)}
      onChoose={choose}
      onChooseAll={chooseAll}
    />
  );
}

/** The wished runs in the wished order; the order is made anew when what is wished or said changes, else now and then. */
function useListed(all: readonly Run[], state: State, wish: Wish): Run[] {
  const page = usePage();
  const beat = useComputed(() => Math.floor(page.nowMs.value / SORT_MS)).value;
  const said = all.map((run) => [run.id, run.state, run.label, run.archived, run.note, ...run.tags].join(" ")).join("\n");
  const order = useMemo(() => {
    const ageS = (run: Run): number | null => ageAt(state.ages[run.id], page.nowMs.peek());
    return listed(all, wish, ageS).map((run) => run.id);
    // What moves is read when the beat comes, not with every message.
  }, [wish, said, isMoving(wish.sort) ? beat : 0]);
  return order.flatMap((id) => state.runs[id] ?? []);
}
