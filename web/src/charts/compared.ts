/**
 * Which charts compared runs have, and what is drawn upon them.
 *
 * Rules of this file: pure; one quantity a chart, one line a run; where a run parts from the first is a mark of that
 * chart alone, what people did to runs is a mark of every chart.
 */
import type { ComparedRun, Comparison, Parted } from "../lib/compare";
import { keyOf, runLook } from "../lib/compareLook";
import { ticksOf } from "../lib/comparePlaces";
import type { Mark, Overlay } from "./overlay";
import { type ChartSpec, PLAIN, lineOf } from "./spec";

export interface ComparedChart {
  readonly spec: ChartSpec;
  readonly overlay: Overlay;
  /** the series of each run */
  readonly series: string;
}

const LOSS = "loss/";
const RESULT = "result:";
const STEP_TIME = "step_time_s";

/** `isWeighted`: components as what they contribute to the total. */
export function comparedCharts(comparison: Comparison, isWeighted: boolean): ComparedChart[] {
  const parted = comparison.parting.map((each) => partedChart(comparison, each, isWeighted));
  const results = comparison.verdict
    .filter((row) => row.key.startsWith(RESULT))
    .map((row) => row.key.slice(RESULT.length))
    .filter((series) => comparison.runs.some((run) => run.series.includes(series)));
  const others = [...results, STEP_TIME].map((series) => plainChart(comparison, series, series === STEP_TIME));
  return [...parted, ...others].filter((chart) => chart.spec.lines.length > 0);
}

/** The series that the charts of a run need. */
export function seriesOf(run: ComparedRun, charts: readonly ComparedChart[]): string[] {
  const known = new Set(run.series);
  return [...new Set(charts.map((chart) => chart.series))].filter((series) => known.has(sourceOf(series)));
}

function partedChart(comparison: Comparison, parted: Parted, isWeighted: boolean): ComparedChart {
  const isMoved = isWeighted && parted.kind === "component";
  const series = isMoved ? `contribution/${parted.series.slice(LOSS.length)}` : parted.series;
  const what = parted.kind === "component" ? (isMoved ? ", weighted" : ", raw loss") : "";
  const apart = parted.pairs.find((pair) => pair.at !== null);
  // what of many runs is not said here stands in the table of partings
  const note = comparison.runs.length === 2 ? (parted.pairs[0]?.text ?? "") : (apart?.text ?? "");
  return {
    series,
    overlay: overlayOf(comparison, parted),
    spec: {
      ...specOf(comparison, series, `${parted.label}${what}`),
      note: isMoved ? "" : note,
      isLog: parted.kind !== "total" && !isMoved,
    },
  };
}

function plainChart(comparison: Comparison, series: string, isTime: boolean): ComparedChart {
  const spec = specOf(comparison, series, isTime ? "step time" : series);
  return { series, overlay: overlayOf(comparison, null), spec: { ...spec, unit: isTime ? "s" : "" } };
}

function specOf(comparison: Comparison, series: string, title: string): ChartSpec {
  const lines = comparison.runs.flatMap((run, i) =>
    run.series.includes(sourceOf(series)) ? [{ ...lineOf(keyOf(i, series), run.name, runLook(i)) }] : [],
  );
  return { ...PLAIN, id: `compare-${series}`, title, lines };
}

/** A contribution is there where its loss is. */
function sourceOf(series: string): string {
  return series.startsWith("contribution/") ? `${LOSS}${series.slice("contribution/".length)}` : series;
}

function overlayOf(comparison: Comparison, parted: Parted | null): Overlay {
  const ticks = ticksOf(comparison.axis);
  const names = new Map(comparison.runs.map((run) => [run.id, run.name]));
  const partings = (parted?.pairs ?? []).flatMap((pair): Mark[] => {
    if (pair.at === null) return [];
    const text = comparison.runs.length === 2 ? pair.text : `${names.get(pair.run) ?? ""}: ${pair.text}`;
    return [markOf(`parting-${pair.run}`, "parting", pair.at * ticks, text)];
  });
  const interventions = comparison.runs.flatMap((run) =>
    run.interventions.map((each) => markOf(each.id, "command", each.x * ticks, `${run.name}: ${each.text}`)),
  );
  return {
    bands: comparison.bands.map((band, i) => ({
      from: band.low * ticks,
      to: band.high * ticks,
      name: band.name,
      isOdd: i % 2 === 1,
    })),
    marks: [...partings, ...interventions].sort((a, b) => a.step - b.step),
  };
}

function markOf(id: string, kind: Mark["kind"], at: number, text: string): Mark {
  return { id, kind, severity: "none", step: Math.round(at), text, card: null };
}
