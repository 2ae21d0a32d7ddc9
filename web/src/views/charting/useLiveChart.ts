/**
 * Keeps a live chart in an element: drawn by the loop, pointed at by mouse, finger and keys.
 *
 * Rules of this file: the redraw loop outlives renderings and reads what is current; what a person is told of a drawing
 * changes only when it says something else.
 */
import { type Signal, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Chart, Listeners } from "../../charts/frame";
import { plotWidth } from "../../charts/frame";
import { HeatChart } from "../../charts/heatChart";
import type { Mark } from "../../charts/overlay";
import { type Choices, type Ground, type Picture, pictureOf } from "../../charts/picture";
import { listenTo } from "../../charts/pointing";
import type { ChartSpec } from "../../charts/spec";
import { LiveChart } from "../../charts/uplot";
import { type Window, cellsOf, zoomedTo } from "../../lib/fold";
import { roomyWindow } from "../../lib/room";
import { type Page, usePage } from "../context";

export interface Current {
  readonly spec: ChartSpec;
  readonly choices: Choices;
  readonly onMark: (mark: Mark) => void;
}

/** What of a drawing is said in words. */
export type Facts = Pick<Picture, "form" | "scale" | "threshold" | "smoothSteps"> & { readonly hangsBelow: boolean };

export interface Live {
  readonly host: RefObject<HTMLDivElement | null>;
  readonly chart: { current: Chart | null };
  readonly facts: Signal<Facts | null>;
  /** how often the keyboard moved the cross-hair here */
  readonly told: Signal<number>;
}

export function groundOf(page: Page): Ground {
  return {
    store: page.store,
    range: page.range.peek(),
    isGoingOn: page.isGoingOn.peek(),
    overlay: page.overlay.peek(),
    gaps: page.gaps.peek(),
    smoothing: page.prefs.peek().smoothing,
    theme: page.theme.peek(),
  };
}

export function useLiveChart(now: Current): Live {
  const page = usePage();
  const live: Live = {
    host: useRef<HTMLDivElement>(null),
    chart: useRef<Chart>(null),
    facts: useSignal<Facts | null>(null),
    told: useSignal(0),
  };
  const current = useRef(now);
  current.current = now;
  const isHeat = now.choices.form === "heat";
  const { host, chart, facts, told } = live;
  useEffect(() => keepChart({ host, chart, facts, told }, page, () => current.current, isHeat), [page, isHeat, host, chart, facts, told]);
  useEffect(() => page.loop.invalidate("now"), [page, now.spec, now.choices]);
  return live;
}

function keepChart(live: Live, page: Page, current: () => Current, isHeat: boolean): () => void {
  const host = live.host.current;
  if (host === null) return () => undefined;
  const chart: Chart = new (isHeat ? HeatChart : LiveChart)(host, listenersOf(host, page, current));
  live.chart.current = chart;
  const draw = (isTip: boolean): boolean => {
    const { spec, choices } = current();
    const width = plotWidth(host.clientWidth);
    if (page.columns.peek() !== width) page.columns.value = width;
    const ground = groundOf(page);
    if (isTip && chart.drawnTo !== null) {
      const tip = pictureOf(spec, choices, ground, width, chart.drawnTo);
      if (tip !== null && chart.extend(tip)) return false;
    }
    const picture = pictureOf(spec, choices, ground, width);
    if (picture === null) return true;
    tell(live.facts, picture);
    chart.draw(picture);
    return true;
  };
  const stop = page.loop.add(host, draw, () => current().spec.lines.map((line) => line.name));
  const resized = new ResizeObserver(() => page.loop.invalidate("now"));
  resized.observe(host);
  const unpoint = page.cursor.subscribe((step) => chart.point(step));
  const windowNow = (): Window | null =>
    roomyWindow(page.range.peek(), page.store.extent(), page.isGoingOn.peek());
  const unheard = listenTo(host, {
    plotArea: () => chart.plotArea,
    window: windowNow,
    newest: () => page.store.extent()?.[1] ?? null,
    stride: () => {
      const window = windowNow();
      if (window === null) return 1;
      const { span, count } = cellsOf(window, Math.max(1, page.columns.peek()));
      return span / count;
    },
    cursor: () => page.cursor.peek(),
    onCursor: (step) => (page.cursor.value = step),
    onTold: () => (live.told.value += 1),
  });
  return () => {
    stop();
    resized.disconnect();
    unpoint();
    unheard();
    chart.destroy();
    live.chart.current = null;
  };
}

function listenersOf(host: HTMLElement, page: Page, current: () => Current): Listeners {
  return {
    onZoom: (from, to) => page.actions.setRange(zoomedTo(from, to)),
    onReset: () => page.actions.setRange({ kind: "all" }),
    onMark: (mark) => current().onMark(mark),
    onDrawn: (lastStep, nonFinite) => {
      host.dataset["lastStep"] = lastStep === null ? "" : String(lastStep);
      const count = String(nonFinite);
      if (host.dataset["nonfinite"] !== count) host.dataset["nonfinite"] = count;
    },
  };
}

function tell(told: Signal<Facts | null>, picture: Picture): void {
  const { form, scale, threshold, smoothSteps, upwards, frame } = picture;
  const hangsBelow = form === "shares" && frame.ys.length > upwards;
  const before = told.peek();
  const isSame =
    before !== null &&
    before.form === form &&
    before.scale === scale &&
    before.threshold === threshold &&
    before.smoothSteps === smoothSteps &&
    before.hangsBelow === hangsBelow;
  if (!isSame) told.value = { form, scale, threshold, smoothSteps, hangsBelow };
}
