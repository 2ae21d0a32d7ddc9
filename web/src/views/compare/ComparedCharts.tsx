/** The curves of all runs, one quantity a chart, under one x axis. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { ComparedChart } from "../../charts/compared";
import { ChartPanel } from "../ChartPanel";
import { type Page, PageContext, usePage } from "../context";
import type { CompareModel } from "./model";

const NO_GAPS = signal([]);
const OVER = signal(false);

export function ComparedCharts({ model }: { readonly model: CompareModel }): JSX.Element {
  return (
    <section class="compare-charts" aria-label="Charts">
      {model.charts.value.map((chart) => (
        <Panel key={chart.spec.id} chart={chart} model={model} />
      ))}
    </section>
  );
}

/** The run view's own chart, which is shown another store, another range, and this chart's marks. */
function Panel({ chart, model }: { readonly chart: ComparedChart; readonly model: CompareModel }): JSX.Element {
  const page = usePage();
  const own = useMemo<Page>(
    () => ({
      ...page,
      store: model.store,
      range: model.range,
      cursor: model.cursor,
      pointsSeen: model.seen,
      // of the run that is selected: they say nothing of these
      gaps: NO_GAPS,
      isGoingOn: OVER,
      columns: model.columns,
      overlay: signal(chart.overlay),
      actions: { ...page.actions, setRange: model.setRange },
    }),
    [page, chart, model],
  );
  return (
    <PageContext.Provider value={own}>
      <ChartPanel spec={chart.spec} isOfRun={false} />
    </PageContext.Provider>
  );
}
