/**
 * Makes files of a chart: a picture, and what is shown as CSV.
 *
 * Rules of this file: it says in the picture's foot what was done to the points; a sentence is the answer when it fails.
 */
import { type Choices, foldedOf } from "../../charts/picture";
import { pngOf } from "../../charts/png";
import type { ChartSpec } from "../../charts/spec";
import { chartCsv } from "../../lib/chartCsv";
import { densityText } from "../../lib/density";
import { stepsWithin } from "../../lib/fold";
import { step } from "../../lib/format";
import { fullNameOf } from "../../lib/runNames";
import type { Page } from "../context";
import { fileStem, shownRun } from "./ChartMenu";
import { shownDensity } from "./density";
import { notesOf } from "./facts";
import { type Live, groundOf } from "./useLiveChart";
import { drawnWindow, shownWindow } from "./windows";

const NOTHING = "There is nothing on this chart yet.";

export interface Saved {
  readonly spec: ChartSpec;
  readonly choices: Choices;
  /** whether it shows the run on the screen, and not several */
  readonly isOfRun: boolean;
}

export async function savePng(page: Page, live: Live, { spec, choices, isOfRun }: Saved): Promise<string | null> {
  const theme = page.theme.value;
  const image = live.chart.current?.image(theme) ?? null;
  const [window, shown] = [drawnWindow(page), shownWindow(page)];
  if (image === null || window === null || shown === null) return NOTHING;
  const run = isOfRun ? shownRun(page) : undefined;
  const { from, to } = stepsWithin(shown);
  const folded = densityText(shownDensity(page, window));
  const foot = [`steps ${step(from)} to ${step(to)}`, folded, ...notesOf(live.facts.value, choices)];
  const blob = await pngOf(image, {
    title: `${spec.title}${spec.unit === "" ? "" : ` (${spec.unit})`}${run === undefined ? "" : ` · ${fullNameOf(run)}`}`,
    foot: foot.filter((one) => one !== "").join(" · "),
    lines: spec.lines.filter((line) => !choices.hidden.has(line.name)),
    theme,
  });
  page.actions.save(`${fileStem(page, spec, isOfRun)}.png`, blob);
  return null;
}

export function saveCsv(page: Page, { spec, choices, isOfRun }: Saved): string | null {
  const [window, shown] = [drawnWindow(page), shownWindow(page)];
  if (window === null || shown === null) return NOTHING;
  const plainly: Choices = { ...choices, form: "lines" };
  const { names, folded } = foldedOf(spec, plainly, groundOf(page), page.columns.value, window);
  const text = chartCsv(names, folded, shown.from, shown.to);
  page.actions.save(`${fileStem(page, spec, isOfRun)}-shown.csv`, new Blob([text], { type: "text/csv" }));
  return null;
}
