/** One chart: its head with the switches, the plot, its legend. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Mark } from "../charts/overlay";
import { type Choices, type Picture, firstChoices, pictureOf } from "../charts/picture";
import type { ChartSpec } from "../charts/spec";
import { liked } from "../lib/chartPrefs";
import { ChartMenu } from "./charting/ChartMenu";
import { ChartTools } from "./charting/ChartTools";
import { CursorText } from "./charting/CursorText";
import { notesOf } from "./charting/facts";
import { saveCsv, savePng } from "./charting/saving";
import { groundOf, useLiveChart } from "./charting/useLiveChart";
import { usePage } from "./context";
import { ExploreDialog } from "./ExploreDialog";
import { Legend } from "./Legend";

/** Enough columns to zoom in Plotly without asking the server again. */
const EXPLORE_WIDTH = 6000;

const nothing = (): void => undefined;

export interface ChartPanelProps {
  readonly spec: ChartSpec;
  /** a mark was pressed; without it nothing more is said of it */
  readonly onMark?: (mark: Mark) => void;
  /** whether its series are of the run on the screen, which can be asked for every point */
  readonly isOfRun?: boolean;
}

export function ChartPanel({ spec, onMark = nothing, isOfRun = true }: ChartPanelProps): JSX.Element {
  const page = usePage();
  const choices = useSignal(firstChoices(spec, page.prefs.peek().likings[spec.id]));
  const explored = useSignal<Picture | null>(null);
  const live = useLiveChart({ spec, choices: choices.value, onMark });
  const choose = (change: Partial<Choices>): void => {
    choices.value = { ...choices.value, ...change };
    const { scale, form } = choices.value;
    if (change.hidden === undefined) page.prefs.value = liked(page.prefs.value, spec.id, { scale, form });
  };
  const toggle = (name: string): void => {
    const hidden = new Set(choices.value.hidden);
    if (!hidden.delete(name)) hidden.add(name);
    choose({ hidden });
  };
  const explore = (): void => {
    const { form } = choices.value;
    const plainly: Choices = { ...choices.value, form: form === "areas" ? "lines" : form };
    explored.value = pictureOf(spec, plainly, groundOf(page), EXPLORE_WIDTH);
  };
  return (
    <section class="chart" aria-label={spec.title}>
      <header class="chart-head">
        <Title spec={spec} notes={notesOf(live.facts.value, choices.value)} />
        <div class="chart-tools">
          <ChartTools spec={spec} choices={choices.value} onChoose={choose} />
          <ChartMenu
            spec={spec}
            isOfRun={isOfRun}
            onPng={() => savePng(page, live, { spec, choices: choices.value, isOfRun })}
            onCsv={() => saveCsv(page, { spec, choices: choices.value, isOfRun })}
          />
          <button type="button" class="button button-small" onClick={explore}>
            explore
          </button>
        </div>
      </header>
      <div
        class="chart-host"
        ref={live.host}
        data-testid={`chart-${spec.id}`}
        data-last-step=""
        data-form={live.facts.value?.form ?? ""}
        data-scale={live.facts.value?.scale ?? ""}
        role="group"
        tabIndex={0}
        aria-label={`${spec.title}: arrow keys move the cross-hair`}
      />
      <CursorText spec={spec} told={live.told} />
      <Legend spec={spec} hidden={choices.value.hidden} onToggle={toggle} />
      {explored.value !== null && <ExploreDialog picture={explored.value} onClose={() => (explored.value = null)} />}
    </section>
  );
}

function Title({ spec, notes }: { readonly spec: ChartSpec; readonly notes: readonly string[] }): JSX.Element {
  const said = [spec.note, ...notes].filter((note) => note !== "").join(" · ");
  return (
    <h2>
      {spec.title}
      {spec.unit !== "" && <span class="quiet"> {spec.unit}</span>}
      {said !== "" && (
        <span class="chart-note quiet" title={said}>
          {" "}
          {said}
        </span>
      )}
    </h2>
  );
}
