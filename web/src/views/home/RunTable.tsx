/** The list of runs; only what is in view stands in the page. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Wish } from "../../lib/home";
import type { Chosen } from "../../lib/homeDeeds";
import { type Entry, entriesOf, viewOf } from "../../lib/homeWindow";
import type { Run } from "../../lib/models";
import type { State } from "../../lib/state";
import { usePage } from "../context";
import type { Curves } from "./curves";
import { HomeHead } from "./HomeHead";
import { HomeRow } from "./HomeRow";
import { useView } from "./useView";

const CURVES_MS = 2_000;

interface RunTableProps {
  readonly runs: readonly Run[];
  readonly state: State;
  readonly wish: Wish;
  readonly chosen: Chosen;
  readonly curves: Curves;
  readonly onWish: (wish: Wish) => void;
  readonly onChoose: (run: string, isStretched: boolean) => void;
  readonly onChooseAll: () => void;
}

export function RunTable(props: RunTableProps): JSX.Element {
  const { runs, wish, chosen } = props;
  const frame = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const seen = useView(frame, body).value;
  const entries = entriesOf(runs, wish.isGrouped);
  const view = viewOf(entries, seen, seen.top, seen.bottom);
  const inView = entries.slice(view.from, view.to);
  useCurves(props.curves, inView);
  return (
    <div class="home-list" ref={frame} data-testid="home-list">
      <table class="home-table" aria-label="Runs" aria-rowcount={entries.length + 1}>
        <HomeHead
          wish={wish}
          isAllChosen={runs.length > 0 && runs.every((run) => chosen.has(run.id))}
          onWish={props.onWish}
          onChooseAll={props.onChooseAll}
        />
        <tbody ref={body}>
          <Gap pixels={view.before} />
          {inView.map((entry, i) => (
            <EntryRow key={keyOf(entry)} entry={entry} place={view.from + i + 2} table={props} />
          ))}
          <Gap pixels={view.behind} />
        </tbody>
      </table>
    </div>
  );
}

function keyOf(entry: Entry): string {
  return entry.kind === "run" ? `run ${entry.run.id}` : `group ${entry.project}`;
}

function EntryRow({ entry, place, table }: { entry: Entry; place: number; table: RunTableProps }): JSX.Element {
  if (entry.kind === "group")
    return (
      <tr class="home-group" aria-rowindex={place} data-testid="home-group">
        <th scope="rowgroup">
          {entry.project} <span class="quiet">{entry.count}</span>
        </th>
      </tr>
    );
  const { run } = entry;
  return (
    <HomeRow
      run={run}
      place={place}
      isChosen={table.chosen.has(run.id)}
      drawn={table.curves.drawn.value.get(run.id)}
      age={table.state.ages[run.id]}
      link={table.state.link}
      onChoose={table.onChoose}
    />
  );
}

/** What is not in view takes its room. */
function Gap({ pixels }: { pixels: number }): JSX.Element | null {
  if (pixels === 0) return null;
  return (
    <tr class="home-gap" aria-hidden="true">
      <td style={{ height: `${pixels}px` }} />
    </tr>
  );
}

/** Asks for the curves of the runs in view, when they come into view and now and then. */
function useCurves(curves: Curves, inView: readonly Entry[]): void {
  const page = usePage();
  const shown = useRef(inView);
  shown.current = inView;
  const key = inView.map(keyOf).join("\n");
  useEffect(() => {
    const ask = (): void => {
      const runs = shown.current.flatMap((entry) => (entry.kind === "run" ? [entry.run] : []));
      if (document.visibilityState === "visible") void curves.want(runs, page.nowMs.peek());
    };
    ask();
    const timer = window.setInterval(ask, CURVES_MS);
    return () => window.clearInterval(timer);
  }, [curves, key, page]);
}
