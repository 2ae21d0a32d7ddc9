/** All charts of the run under one x axis, and what of it they show. */
import type { JSX } from "preact";
import { ChartPanel } from "./ChartPanel";
import { usePage } from "./context";
import { RangeBar } from "./RangeBar";
import { RangeBlame } from "./RangeBlame";

export function ChartStack(): JSX.Element {
  const page = usePage();
  const charts = page.charts.value;
  const { detail } = page.state.value;
  return (
    <section class="charts" id="charts" aria-label="Charts">
      <RangeBar />
      <RangeBlame />
      {charts.map((spec) => (
        <ChartPanel key={`${page.state.value.selected ?? ""} ${spec.id}`} spec={spec} />
      ))}
      {charts.length === 0 && (
        <p class="quiet waiting">
          {detail.isLoaded ? "No points yet. The charts begin with the first step." : "Loading…"}
        </p>
      )}
    </section>
  );
}
