/**
 * Draws a chart of lines or areas with uPlot; the only file that knows it.
 *
 * Rules of this file: it is handed finished frames and decides nothing; the plot is built anew only when its lines, axes
 * or colours change. The cross-hair stands where it is told (charts/pointing.ts hears the mouse), a drag is a zoom.
 */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { step as stepText } from "../lib/format";
import { labelOf, rangeOf, splitsOf } from "./axes";
import {
  AXIS_WIDTH,
  type Chart,
  type ChartImage,
  type Listeners,
  MIN_DRAG_PX,
  RIGHT_PADDING,
  TOP_STRIP,
  X_AXIS_HEIGHT,
} from "./frame";
import { Glyphs } from "./glyphs";
import {
  type Pane,
  paintBandNames,
  paintBands,
  paintContracts,
  paintGaps,
  paintMarks,
  paintNonFinite,
  paintSpans,
} from "./paint";
import type { Picture } from "./picture";
import type { Line } from "./spec";
import { type Theme, colourOf } from "./theme";

export class LiveChart implements Chart {
  private plot: uPlot | null = null;
  private builtFor = "";
  private picture: Picture | null = null;
  private pointed: number | null = null;
  private readonly glyphs: Glyphs;

  constructor(
    private readonly host: HTMLElement,
    private readonly listeners: Listeners,
  ) {
    this.glyphs = new Glyphs(listeners.onMark);
  }

  get plotArea(): HTMLElement | null {
    return this.plot?.over ?? null;
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
      this.plot.over.parentElement?.append(this.glyphs.element);
    } else {
      if (this.plot.width !== width || this.plot.height !== height) this.plot.setSize({ width, height });
      this.plot.setData(data, true);
    }
    this.point(this.pointed);
  }

  /** The steps may have moved under the cross-hair: it belongs to its step, not to its pixel. */
  point(step: number | null): void {
    this.pointed = step;
    const u = this.plot;
    if (u === null) return;
    const left = step === null ? -10 : u.valToPos(step, "x");
    const isWithin = left >= 0 && left <= u.over.clientWidth;
    if (Math.abs((u.cursor.left ?? -10) - left) < 0.5) return;
    u.setCursor({ left: isWithin ? left : -10, top: isWithin ? 1 : -10 }, false);
  }

  image(theme: Theme): ChartImage | null {
    const u = this.plot;
    return u === null ? null : { canvas: u.ctx.canvas, glyphs: this.glyphs.drawn(theme), ratio: uPlot.pxRatio };
  }

  destroy(): void {
    this.plot?.destroy();
    this.plot = null;
    this.glyphs.forget();
  }

  private options(picture: Picture, width: number, height: number): uPlot.Options {
    const { theme } = picture;
    const common = { stroke: theme.muted, grid: { stroke: theme.grid, width: 1 }, ticks: { show: false } };
    const x = { size: X_AXIS_HEIGHT, gap: 4, space: 70 };
    const y = { size: AXIS_WIDTH, gap: 6, space: 26 };
    const { font } = theme;
    return {
      width,
      height,
      padding: [TOP_STRIP, RIGHT_PADDING, 0, 0],
      legend: { show: false },
      cursor: this.cursor(),
      scales: { x: { time: false, range: () => this.xRange() }, y: this.yScale(picture) },
      axes: [
        { ...common, ...x, font, values: (u, splits) => splits.map((v) => stepLabel(u, v)) },
        { ...common, ...y, font, values: (_, splits) => splits.map((v) => labelOf(picture, v)), ...this.ownTicks(picture) },
      ],
      ...seriesOf(picture),
      hooks: {
        drawClear: [(u) => this.paintBehind(u)],
        draw: [(u) => this.paintUpon(u)],
        setSelect: [(u) => this.select(u)],
      },
    };
  }

  /** The frame changes without the plot being built anew: what is asked is asked of the newest picture. */
  private yScale(picture: Picture): uPlot.Scale {
    // 3 is Logarithmic, 4 is ArcSinh: an ambient const enum cannot be named under isolatedModules.
    const range: uPlot.Scale.Range = (_, low, high) => rangeOf(this.picture ?? picture, low, high);
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
    if (picture.scale === "log") return { distr: 3, range };
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
    return picture.scale === "symlog" ? { distr: 4, asinh: picture.threshold, range } : { range };
  }

  private ownTicks(picture: Picture): Partial<uPlot.Axis> {
    if (picture.scale === "linear") return {};
    return {
      splits: (u, _axis, low, high) => splitsOf(this.picture ?? picture, low, high, u.bbox.height / uPlot.pxRatio) ?? [],
      filter: (_, splits) => splits,
    };
  }

  private cursor(): uPlot.Cursor {
    return {
      y: false,
      points: { show: false },
      drag: { x: true, y: false, setScale: false, dist: MIN_DRAG_PX },
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
    const { overlay, spec, theme, gaps } = this.picture;
    const pane = paneOf(u);
    paintBands(pane, overlay.bands, theme);
    if (this.picture.form !== "shares") paintContracts(pane, spec.contracts, theme);
    paintSpans(pane, overlay.marks, theme);
    paintGaps(pane, gaps, theme);
  }

  private paintUpon(u: uPlot): void {
    const picture = this.picture;
    if (picture === null) return;
    const pane = paneOf(u);
    paintMarks(pane, picture.overlay.marks, picture.theme);
    paintBandNames(pane, picture.overlay.bands, picture.theme);
    paintNonFinite(pane, picture.frame.nonFinite, picture.theme);
    this.glyphs.place(picture, (step) => u.valToPos(step, "x"), u.over.offsetLeft);
    this.listeners.onDrawn(picture.lastStep, picture.frame.nonFinite.length);
  }
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
function keyOf({ spec, lines, scale, threshold, form, isStacked, isDense, smoothSteps, frame, theme }: Picture): string {
  return [
    spec.id,
    scale,
    threshold,
    form,
    isStacked,
    isDense,
    smoothSteps > 0,
    frame.ys.length,
    theme.paper,
    theme.ink,
    ...lines.map((line) => `${line.name}:${line.look.colour}:${line.look.dash.join()}`),
  ].join("|");
}

/** uPlot draws in the order of its series, ours are in reading order: the first is drawn last, upon the others. */
function dataOf({ frame, isStacked, form }: Picture): uPlot.AlignedData {
  if (form === "shares") return [frame.x, ...frame.ys];
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

function seriesOf(picture: Picture): Pick<uPlot.Options, "series" | "bands"> {
  if (picture.form === "shares") return shareSeries(picture);
  return picture.isStacked ? stackedSeries(picture) : { series: lineSeries(picture) };
}

function lineSeries({ lines, theme, spec, isDense }: Picture): uPlot.Series[] {
  const stepped = spec.isStepped ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
  const series = [...lines]
    .reverse()
    .map((line) => ({ ...strokeOf(line, theme), ...(stepped === undefined ? {} : { paths: stepped }) }));
  // A mean is no step line, whatever it is the mean of.
  const centres = [...lines].reverse().map((line) => strokeOf(line, theme));
  return isDense ? [{}, ...series.map((one) => ({ ...one, alpha: DENSE_ALPHA })), ...centres] : [{}, ...series];
}

/** One pixel: a wider line of a noisy curve is rasterised by a path stroker, which took 11 ms a frame instead of 1. */
const LINE_WIDTH = 1;

function strokeOf(line: Line, theme: Theme): uPlot.Series {
  return { stroke: colourOf(theme, line.look), width: LINE_WIDTH, dash: [...line.look.dash], points: { show: false } };
}

function fillOf(line: Line, theme: Theme): string {
  return `${colourOf(theme, line.look)}88`;
}

/** Areas between neighbouring sums, the lowest down to 0, and the total as a line upon them. */
function stackedSeries({ lines, theme }: Picture): Pick<uPlot.Options, "series" | "bands"> {
  const [total, ...parts] = lines;
  const { series, bands } = heapOf(parts, theme, 1);
  return { series: [{}, ...series, ...(total === undefined ? [] : [strokeOf(total, theme)])], bands };
}

/** Areas upwards from 0, and where parts are negative, downwards from it. */
function shareSeries({ lines, theme, frame, upwards }: Picture): Pick<uPlot.Options, "series" | "bands"> {
  const up = heapOf(lines, theme, 1);
  const down = frame.ys.length > upwards ? heapOf(lines, theme, 1 + upwards, 1) : { series: [], bands: [] };
  return { series: [{}, ...up.series, ...down.series], bands: [...up.bands, ...down.bands] };
}

/** A heap whose first sum is uPlot's series `first`; `dir` says on which side of it the one before lies. */
function heapOf(
  parts: readonly Line[],
  theme: Theme,
  first: number,
  dir: 1 | -1 = -1,
): { series: uPlot.Series[]; bands: uPlot.Band[] } {
  const series = parts.map((line, i) => ({
    ...strokeOf(line, theme),
    ...(i === 0 ? { fill: fillOf(line, theme), fillTo: 0 } : {}),
  }));
  const bands = parts.slice(1).map((line, i): uPlot.Band => ({
    series: [first + i + 1, first + i],
    fill: fillOf(line, theme),
    dir,
  }));
  return { series, bands };
}
