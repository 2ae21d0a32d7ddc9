/** All charts of the run under one x axis, and what of it they show. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useCallback } from "preact/hooks";
import type { Mark } from "../charts/overlay";
import { MarkNote } from "./charting/MarkNote";
import { MiniMap } from "./charting/MiniMap";
import { useChartKeys } from "./charting/useChartKeys";
import { ChartPanel } from "./ChartPanel";
import { usePage } from "./context";
import { RangeBar } from "./RangeBar";
import { RangeBlame } from "./RangeBlame";

export function ChartStack(): JSX.Element {
  const page = usePage();
  const pressed = useSignal<Mark | null>(null);
  useChartKeys();
  const onMark = useCallback(
    (mark: Mark) => {
      pressed.value = mark;
      if (mark.card !== null) page.actions.showCard(mark.card);
    },
    [page, pressed],
  );
  const charts = page.charts.value;
  const { detail } = page.state.value;
  return (
    <section class="charts" id="charts" aria-label="Charts">
      <div class="charts-head">
        <RangeBar />
        {charts.length > 0 && <MiniMap />}
        {pressed.value !== null && <MarkNote mark={pressed.value} onClose={() => (pressed.value = null)} />}
      </div>
      <RangeBlame />
      {charts.map((spec) => (
        <ChartPanel key={`${page.state.value.selected ?? ""} ${spec.id}`} spec={spec} onMark={onMark} />
      ))}
      {charts.length === 0 && (
        <p class="quiet waiting">
          {detail.isLoaded ? "No points yet. The charts begin with the first step." : "Loading…"}
        </p>
      )}
    </section>
  );
}
