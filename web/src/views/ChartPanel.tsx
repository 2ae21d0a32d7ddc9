/** One chart: its head with the switches, the plot, its legend. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { type Choices, type Picture, firstChoices, pictureOf } from "../charts/picture";
import type { ChartSpec } from "../charts/spec";
import { LiveChart, plotWidth } from "../charts/uplot";
import { zoomedTo } from "../lib/fold";
import { usePage } from "./context";
import { ExploreDialog } from "./ExploreDialog";
import { Legend } from "./Legend";
import { Switch } from "./Switch";

/** Enough columns to zoom in Plotly without asking the server again. */
const EXPLORE_WIDTH = 3000;

export function ChartPanel({ spec }: { spec: ChartSpec }): JSX.Element {
  const page = usePage();
  const host = useRef<HTMLDivElement>(null);
  const choices = useSignal(firstChoices(spec));
  const explored = useSignal<Picture | null>(null);
  // The redraw loop outlives renderings; it reads what is current.
  const current = useRef({ spec, choices: choices.value });
  current.current = { spec, choices: choices.value };

  useEffect(() => drawInto(host.current, page, () => current.current), [page]);
  useEffect(() => page.loop.invalidate("now"), [page, spec, choices.value]);

  const choose = (change: Partial<Choices>): void => {
    choices.value = { ...choices.value, ...change };
  };
  const toggle = (name: string): void => {
    const hidden = new Set(choices.value.hidden);
    if (!hidden.delete(name)) hidden.add(name);
    choose({ hidden });
  };
  const explore = (): void => {
    const ground = { store: page.store, range: page.range.value, overlay: page.overlay.value, theme: page.theme.value };
    explored.value = pictureOf(spec, { ...choices.value, isStacked: false }, ground, EXPLORE_WIDTH);
  };
  return (
    <section class="chart" aria-label={spec.title}>
      <header class="chart-head">
        <h2>
          {spec.title}
          {spec.unit !== "" && <span class="quiet"> {spec.unit}</span>}
          {spec.note !== "" && <span class="chart-note quiet"> {spec.note}</span>}
        </h2>
        <div class="chart-tools">
          {spec.canStack && (
            <Switch
              label="Form"
              options={["areas", "lines"]}
              value={choices.value.isStacked && !choices.value.isLog ? "areas" : "lines"}
              onPick={(form) => choose(form === "areas" ? { isStacked: true, isLog: false } : { isStacked: false })}
            />
          )}
          {spec.bounds === null && (
            <Switch
              label="Scale"
              options={["linear", "log"]}
              value={choices.value.isLog ? "log" : "linear"}
              onPick={(scale) => choose({ isLog: scale === "log" })}
            />
          )}
          <button type="button" class="button button-small" onClick={explore}>
            explore
          </button>
        </div>
      </header>
      <div class="chart-host" ref={host} data-testid={`chart-${spec.id}`} data-last-step="" />
      <Legend spec={spec} hidden={choices.value.hidden} onToggle={toggle} />
      {explored.value !== null && <ExploreDialog picture={explored.value} onClose={() => (explored.value = null)} />}
    </section>
  );
}

/** Keeps a live chart in `host`; answers how to end it. */
function drawInto(
  host: HTMLDivElement | null,
  page: ReturnType<typeof usePage>,
  current: () => { spec: ChartSpec; choices: Choices },
): () => void {
  if (host === null) return () => undefined;
  const chart = new LiveChart(host, {
    onZoom: (from, to) => page.actions.setRange(zoomedTo(from, to)),
    onReset: () => page.actions.setRange({ kind: "all" }),
    onCursor: (step) => (page.cursor.value = step),
    onMark: (mark) => {
      if (mark.card !== null) page.actions.showCard(mark.card);
    },
    onDrawn: (lastStep, nonFinite) => {
      host.dataset["lastStep"] = lastStep === null ? "" : String(lastStep);
      host.dataset["nonfinite"] = String(nonFinite);
    },
  });
  const stop = page.loop.add(host, () => {
    const { spec, choices } = current();
    const ground = { store: page.store, range: page.range.value, overlay: page.overlay.value, theme: page.theme.value };
    const picture = pictureOf(spec, choices, ground, plotWidth(host.clientWidth));
    if (picture !== null) chart.draw(picture);
  });
  const resized = new ResizeObserver(() => page.loop.invalidate("now"));
  resized.observe(host);
  return () => {
    stop();
    resized.disconnect();
    chart.destroy();
  };
}
