/** What can be taken away from a chart: a picture, what is shown as CSV, and every point of it. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useRef } from "preact/hooks";
import { stepsWithin } from "../../lib/fold";
import type { ChartSpec } from "../../charts/spec";
import type { Run } from "../../lib/models";
import { type Page, usePage } from "../context";
import { shownWindow } from "./windows";

export interface ChartMenuProps {
  readonly spec: ChartSpec;
  readonly isOfRun: boolean;
  /** null when it went well, else what went wrong */
  readonly onPng: () => Promise<string | null>;
  readonly onCsv: () => string | null;
}

export function ChartMenu({ spec, isOfRun, onPng, onCsv }: ChartMenuProps): JSX.Element {
  const page = usePage();
  const menu = useRef<HTMLDetailsElement>(null);
  const said = useSignal("");
  const take = (work: () => Promise<string | null>): void => {
    said.value = "…";
    work().then(
      (fault) => {
        said.value = fault ?? "saved";
        if (fault === null && menu.current !== null) menu.current.open = false;
      },
      (reason: unknown) => (said.value = reason instanceof Error ? reason.message : String(reason)),
    );
  };
  return (
    <details
      class="chart-menu"
      ref={menu}
      onToggle={(event) => event.currentTarget.open && (said.value = "")}
      onFocusOut={(event) => closeUnless(event.currentTarget, event.relatedTarget)}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !event.currentTarget.open) return;
        event.currentTarget.open = false;
        event.stopPropagation();
      }}
    >
      <summary class="button button-small" aria-label={`Save ${spec.title}`} data-testid={`save-${spec.id}`}>
        save
      </summary>
      <div class="chart-menu-items">
        <Item testid={`png-${spec.id}`} onClick={() => take(onPng)}>
          PNG, as it is on the screen
        </Item>
        <Item testid={`csv-${spec.id}`} title={SHOWN} onClick={() => take(() => Promise.resolve(onCsv()))}>
          CSV of what is shown
        </Item>
        {isOfRun && (
          <Item testid={`points-${spec.id}`} title={EVERY} onClick={() => take(() => everyPoint(page, spec))}>
            CSV of every point
          </Item>
        )}
        <p class="quiet" role="status" data-testid={`saved-${spec.id}`}>
          {said.value}
        </p>
      </div>
    </details>
  );
}

const SHOWN = "A row a column of pixels: lowest, highest and mean where it folds several points";
const EVERY =
  "From the server, at full resolution, of the steps on the screen; for a long run `lossguard export` is the better way";

function Item(props: {
  testid: string;
  title?: string;
  onClick: () => void;
  children: ComponentChildren;
}): JSX.Element {
  const { testid, title = "", onClick, children } = props;
  return (
    <button type="button" class="button button-quiet" data-testid={testid} title={title} onClick={onClick}>
      {children}
    </button>
  );
}

/** Of the steps on the screen; of all of them where the whole run is. */
function everyPoint(page: Page, spec: ChartSpec): Promise<string | null> {
  const range = page.range.value;
  const window = shownWindow(page);
  const steps = range.kind === "all" || window === null ? null : stepsWithin(window);
  const names = spec.lines.map((line) => line.name);
  return page.actions.exportPoints(`${fileStem(page, spec, true)}-points.csv`, names, steps);
}

function closeUnless(menu: HTMLDetailsElement, next: EventTarget | null): void {
  if (next instanceof Node && menu.contains(next)) return;
  // A press within the menu on what takes no focus is no leaving.
  if (next !== null) menu.open = false;
}

/** `project-run-chart`, for the name of a file. */
export function fileStem(page: Page, spec: ChartSpec, isOfRun: boolean): string {
  const run = isOfRun ? shownRun(page) : undefined;
  return `${run === undefined ? "lossguard-" : `${run.project}-${run.name}-`}${spec.id}`;
}

export function shownRun({ state }: Page): Run | undefined {
  const { selected, runs } = state.value;
  return selected === null ? undefined : runs[selected];
}
