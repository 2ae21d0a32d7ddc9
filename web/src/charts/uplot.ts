/**
 * Draws a chart with uPlot; the only file that knows it.
 *
 * Rules of this file: it is handed finished frames and decides nothing; the plot is built anew only when its lines, axes
 * or colours change; marks are real buttons above the plot, names in them are text.
 */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { step as stepText, tick } from "../lib/format";
import { logTicks } from "../lib/ticks";
import { GLYPHS, type Mark, chiefOf, labelOf } from "./overlay";
import { type Pane, paintBandNames, paintBands, paintContracts, paintMarks, paintNonFinite, paintSpans } from "./paint";
import type { Picture } from "./picture";
import type { Line } from "./spec";
import { type Theme, colourOf } from "./theme";

/** The same for all charts, so that one step stands at one place on all of them. */
const AXIS_WIDTH = 58;
const RIGHT_PADDING = 14;
/** stage names above, glyphs of marks below them: neither hides a curve or the other */
const TOP_STRIP = 31;
const X_AXIS_HEIGHT = 26;
const MIN_DRAG_PX = 4;
/** Glyphs are 14 px wide: nearer marks share one. */
const GLYPH_SPACING_PX = 13;

export interface Listeners {
  readonly onZoom: (from: number, to: number) => void;
  readonly onReset: () => void;
  readonly onCursor: (step: number | null) => void;
  readonly onMark: (mark: Mark) => void;
  readonly onDrawn: (lastStep: number | null, nonFinite: number) => void;
}

/** How many pixels wide the plot of a host `hostWidth` wide is: how many columns are worth folding to. */
export function plotWidth(hostWidth: number): number {
  return Math.max(50, Math.floor(hostWidth - AXIS_WIDTH - RIGHT_PADDING));
}

export class LiveChart {
  private plot: uPlot | null = null;
  private builtFor = "";
  private picture: Picture | null = null;
  private readonly glyphs = document.createElement("div");
  private shownGlyphs = "";

  constructor(
    private readonly host: HTMLElement,
    private readonly listeners: Listeners,
  ) {
    this.glyphs.className = "chart-glyphs";
  }

  draw(picture: Picture): void {
    this.picture = picture;
    const width = this.host.clientWidth;
    const height = this.host.clientHeight;
    if (width === 0 || height === 0) return;
    const data = dataOf(picture);
    const key = keyOf(picture);
    if (this.plot === null || key !== this.builtFor) {
      this.destroy();
      this.builtFor = key;
      this.plot = new uPlot(this.options(picture, width, height), data, this.host);
      this.plot.over.parentElement?.append(this.glyphs);
      return;
    }
    if (this.plot.width !== width || this.plot.height !== height) this.plot.setSize({ width, height });
    this.plot.setData(data, true);
  }

  destroy(): void {
    this.plot?.destroy();
    this.plot = null;
    this.shownGlyphs = "";
  }

  private options(picture: Picture, width: number, height: number): uPlot.Options {
    const { theme } = picture;
    const grid = { stroke: theme.grid, width: 1 };
    const ticks = { show: false };
    const font = theme.font;
    return {
      width,
      height,
      padding: [TOP_STRIP, RIGHT_PADDING, 0, 0],
      legend: { show: false },
      cursor: this.cursor(),
      scales: { x: { time: false, range: () => this.xRange() }, y: yScale(picture) },
      axes: [
        {
          stroke: theme.muted,
          grid,
          ticks,
          font,
          size: X_AXIS_HEIGHT,
          gap: 4,
          space: 70,
          values: (u, splits) => splits.map((v) => stepLabel(u, v)),
        },
        {
          stroke: theme.muted,
          grid,
          ticks,
          font,
          size: AXIS_WIDTH,
          gap: 6,
          space: 26,
          values: (_, splits) => splits.map(tick),
          ...(picture.isLog ? logAxis() : {}),
        },
      ],
      ...(picture.isStacked ? stackedSeries(picture) : { series: lineSeries(picture) }),
      hooks: {
        drawClear: [(u) => this.paintBehind(u)],
        draw: [(u) => this.paintUpon(u)],
        setSelect: [(u) => this.select(u)],
        setCursor: [
          (u) =>
            this.listeners.onCursor(
              u.cursor.left === undefined || u.cursor.left < 0 ? null : u.posToVal(u.cursor.left, "x"),
            ),
        ],
      },
    };
  }

  private cursor(): uPlot.Cursor {
    const isMove = (type: string): boolean => type === "mousemove" || type === "mouseleave" || type === "mouseenter";
    return {
      y: false,
      points: { show: false },
      drag: { x: true, y: false, setScale: false, dist: MIN_DRAG_PX },
      // A drag is handled once, by the chart it is made on, and reaches the others as their window.
      sync: { key: "lossguard", scales: ["x", null], filters: { pub: isMove, sub: isMove } },
      bind: {
        dblclick: () => () => {
          this.listeners.onReset();
          return null;
        },
      },
    };
  }

  private xRange(): [number, number] {
    const window = this.picture?.window;
    return window === undefined ? [0, 1] : [window.from, window.to];
  }

  private select(u: uPlot): void {
    const { left, width } = u.select;
    if (width < MIN_DRAG_PX) return;
    const from = u.posToVal(left, "x");
    const to = u.posToVal(left + width, "x");
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.listeners.onZoom(from, to);
  }

  private paintBehind(u: uPlot): void {
    if (this.picture === null) return;
    const pane = paneOf(u);
    paintBands(pane, this.picture.overlay.bands, this.picture.theme);
    paintContracts(pane, this.picture.spec.contracts, this.picture.theme);
    paintSpans(pane, this.picture.overlay.marks, this.picture.theme);
  }

  private paintUpon(u: uPlot): void {
    const picture = this.picture;
    if (picture === null) return;
    const pane = paneOf(u);
    paintMarks(pane, picture.overlay.marks, picture.theme);
    paintBandNames(pane, picture.overlay.bands, picture.theme);
    paintNonFinite(pane, picture.frame.nonFinite, picture.theme);
    this.placeGlyphs(u, picture);
    this.listeners.onDrawn(picture.lastStep, picture.frame.nonFinite.length);
  }

  /** One button a mark, or one for several that are too near to be pressed apart. */
  private placeGlyphs(u: uPlot, picture: Picture): void {
    const { from, to } = picture.window;
    const inView = picture.overlay.marks.filter((mark) => (mark.to ?? mark.step) >= from && mark.step <= to);
    const placed = clustered(inView.map((mark) => ({ mark, x: u.valToPos(Math.max(from, mark.step), "x") })));
    const key = placed
      .map(({ x, marks }) => `${Math.round(x)} ${chiefOf(marks)?.id ?? ""} ${labelOf(marks)}`)
      .join("|");
    if (key === this.shownGlyphs) return;
    this.shownGlyphs = key;
    this.glyphs.replaceChildren(...placed.map(({ x, marks }) => this.glyph(x + u.over.offsetLeft, marks)));
  }

  private glyph(x: number, marks: readonly Mark[]): HTMLButtonElement {
    const button = document.createElement("button");
    const chief = chiefOf(marks);
    const label = labelOf(marks);
    button.type = "button";
    button.className = `glyph glyph-${chief?.kind ?? "command"} glyph-${chief?.severity ?? "none"}`;
    button.textContent = GLYPHS[chief?.kind ?? "command"];
    button.title = label;
    button.ariaLabel = label;
    // The cards hold the same, in order; five charts of marks would be a long way by keyboard.
    button.tabIndex = -1;
    button.style.left = `${x}px`;
    button.addEventListener("click", () => {
      if (chief !== undefined) this.listeners.onMark(chief);
    });
    return button;
  }
}

function clustered(placed: readonly { mark: Mark; x: number }[]): { x: number; marks: Mark[] }[] {
  const clusters: { x: number; marks: Mark[] }[] = [];
  for (const { mark, x } of placed) {
    const near = clusters.at(-1);
    if (near !== undefined && x - near.x < GLYPH_SPACING_PX) near.marks.push(mark);
    else clusters.push({ x, marks: [mark] });
  }
  return clusters;
}

function paneOf(u: uPlot): Pane {
  const { left, top, width, height } = u.bbox;
  return {
    ctx: u.ctx,
    left,
    top,
    width,
    height,
    ratio: uPlot.pxRatio,
    x: (step) => u.valToPos(step, "x", true),
    y: (value) => u.valToPos(value, "y", true),
  };
}

/** What a plot is built from; data, window and marks may change without it. */
function keyOf({ spec, lines, isLog, isStacked, isDense, theme }: Picture): string {
  return [
    spec.id,
    isLog,
    isStacked,
    isDense,
    theme.paper,
    theme.ink,
    ...lines.map((line) => `${line.name}:${line.look.colour}:${line.look.dash.join()}`),
  ].join("|");
}

/** uPlot draws in the order of its series, ours are in reading order: the first is drawn last, upon the others. */
function dataOf({ frame, isStacked }: Picture): uPlot.AlignedData {
  if (isStacked) return [frame.x, ...frame.ys.slice(1), frame.ys[0] ?? []];
  return [frame.x, ...[...frame.ys].reverse(), ...[...frame.centres].reverse()];
}

/** A band of noise must not hide what lies under it, nor its own mean, but a spike of one pixel must be seen. */
const DENSE_ALPHA = 0.3;

/** Digits of the axis' font are about this wide. */
const DIGIT_PX = 6.6;

/** A step below its line; empty between steps, and where the canvas ends before the label does. */
function stepLabel(u: uPlot, value: number): string {
  if (!Number.isInteger(value)) return "";
  const label = stepText(value);
  const room = u.width - AXIS_WIDTH - u.valToPos(value, "x");
  return (label.length * DIGIT_PX) / 2 > room ? "" : label;
}

function lineSeries({ lines, theme, spec, isDense }: Picture): uPlot.Series[] {
  const stepped = spec.isStepped ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
  const series = [...lines]
    .reverse()
    .map((line) => ({ ...strokeOf(line, theme), ...(stepped === undefined ? {} : { paths: stepped }) }));
  return isDense ? [{}, ...series.map((one) => ({ ...one, alpha: DENSE_ALPHA })), ...series] : [{}, ...series];
}

/** One pixel: a wider line of a noisy curve is rasterised by a path stroker, which took 11 ms a frame instead of 1. */
const LINE_WIDTH = 1;

function strokeOf(line: Line, theme: Theme): uPlot.Series {
  return { stroke: colourOf(theme, line.look), width: LINE_WIDTH, dash: [...line.look.dash], points: { show: false } };
}

/** Areas between neighbouring sums, the lowest down to 0, and the total as a line upon them. */
function stackedSeries({ lines, theme }: Picture): Pick<uPlot.Options, "series" | "bands"> {
  const [total, ...parts] = lines;
  const fill = (line: Line): string => `${colourOf(theme, line.look)}88`;
  const series: uPlot.Series[] = [
    {},
    ...parts.map((line, i) => ({ ...strokeOf(line, theme), ...(i === 0 ? { fill: fill(line), fillTo: 0 } : {}) })),
  ];
  const bands = parts.slice(1).map((line, i): uPlot.Band => ({ series: [i + 2, i + 1], fill: fill(line) }));
  if (total !== undefined) series.push(strokeOf(total, theme));
  return { series, bands };
}

function yScale({ isLog, isStacked, spec }: Picture): uPlot.Scale {
  // 3 is Logarithmic: an ambient const enum cannot be named under isolatedModules.
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
  if (isLog) return { distr: 3, range: (_, low, high) => logRange(low, high) };
  const { bounds } = spec;
  if (bounds !== null) return { range: (_, low, high) => boundedRange(low, high, bounds) };
  return { range: (_, low, high) => linearRange(low, high, isStacked) };
}

/** A little more than the quantity's own ends, so that a line upon one of them is seen whole. */
function boundedRange(
  low: number | null,
  high: number | null,
  [least, most]: readonly [number, number],
): uPlot.Range.MinMax {
  const pad = (most - least) * 0.03;
  return [Math.min(least, low ?? least) - pad, Math.max(most, high ?? most) + pad];
}

/** uPlot asks with null when there is nothing to draw, whatever its types say. */
function linearRange(low: number | null, high: number | null, isStacked: boolean): uPlot.Range.MinMax {
  if (low === null || high === null) return [0, 1];
  const bottom = isStacked ? Math.min(0, low) : low;
  const pad = (high - bottom || Math.abs(high) || 1) * 0.08;
  // A quantity that is never negative should not have an axis that is.
  return [isStacked ? bottom : low >= 0 ? Math.max(0, bottom - pad) : bottom - pad, high + pad];
}

function logRange(low: number | null, high: number | null): uPlot.Range.MinMax {
  if (low === null || high === null || !(low > 0)) return [1e-3, 1];
  const pad = Math.max(1.15, (high / low) ** 0.06);
  return [low / pad, high * pad];
}

function logAxis(): Partial<uPlot.Axis> {
  return {
    splits: (u, _axis, low, high) => logTicks(low, high, Math.max(2, Math.floor(u.bbox.height / uPlot.pxRatio / 28))),
    filter: (_, splits) => splits,
  };
}
