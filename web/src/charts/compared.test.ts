import { describe, expect, it } from "vitest";
import { comparisonOf } from "../lib/compare";
import { comparisonAnswer } from "../lib/testComparison";
import { comparedCharts, seriesOf } from "./compared";

const COMPARISON = comparisonOf(comparisonAnswer());

describe("charts of compared runs", () => {
  it("are one a quantity, with a line a run in the run's own look", () => {
    const charts = comparedCharts(COMPARISON, false);
    expect(charts.map(({ series }) => series)).toEqual(["loss/total", "loss/ce", "val/acc", "step_time_s"]);
    expect(charts[1]?.spec.lines.map(({ name, label }) => [name, label])).toEqual([["0:loss/ce", "old"], ["1:loss/ce", "new"]]);
    expect(charts.map(({ spec }) => spec.lines[1]?.look.dash.length)).toEqual([2, 2, 2, 2]);
  });

  it("mark where the runs part on the chart of that quantity, and interventions on all", () => {
    const marks = comparedCharts(COMPARISON, false).map(({ overlay }) => overlay.marks.map(({ kind, step }) => [kind, step]));
    expect(marks.slice(0, 2)).toEqual([[["parting", 10], ["command", 40]], [["command", 40]]]);
  });

  it("show contributions in the place of components, where they are asked for", () => {
    const charts = comparedCharts(COMPARISON, true);
    expect(charts.map(({ series }) => series).slice(0, 2)).toEqual(["loss/total", "contribution/ce"]);
    const [run] = COMPARISON.runs;
    expect(run && seriesOf(run, charts)).toContain("contribution/ce");
  });

  it("stand in milliseconds where the axis is time", () => {
    const answer = comparisonAnswer({ axis: { kind: "time", bands: [{ name: "s", low: 1, high: 2.5 }] } });
    const [chart] = comparedCharts(comparisonOf(answer), false);
    expect(chart?.overlay.bands).toEqual([{ from: 1000, to: 2500, name: "s", isOdd: false }]);
    expect(chart?.overlay.marks[0]?.step).toBe(10_000);
  });
});
