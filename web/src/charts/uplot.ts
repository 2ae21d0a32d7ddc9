/**
 * Draws a chart of lines or areas with uPlot; with uplotSeries.ts the only file that knows it.
 *
 * Rules of this file: it is handed finished frames and decides nothing; the plot is built anew only when its lines, axes
 * or colours change. The cross-hair stands where it is told (charts/pointing.ts hears the mouse), a drag is a zoom.
 */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Window } from "../lib/fold";
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
  clipped,
  paintBandNames,
  paintBands,
  paintContracts,
  paintGaps,
  paintMarks,
  paintNonFinite,
  paintSpans,
} from "./paint";
import { traceBars } from "./paths";
import type { Picture } from "./picture";
import { type Theme, colourOf } from "./theme";
import { dataOf, keyOf, placesIn, seriesOf } from "./uplotSeries";

/** Bars of columns: they must not hide what lies under them, nor their own mean, but a spike of one must be seen. */
const BAR_ALPHA = "38";
/** A tip begins so far before what was drawn last: two columns, of which the last had not ended, and a line's width. */
const TIP_PX = 6;

/** What is on the screen. */
interface Drawn {
  /** what the plot was built for */
  readonly key: string;
  readonly window: Window;
  readonly lastStep: number;
  readonly nonFinite: number;
  /** canvas pixels a CSS pixel */
  readonly ratio: number;
}

function drawnBy({ window, lastStep, frame }: Picture, key: string): Drawn {
  return { key, window, lastStep: lastStep ?? -1, nonFinite: frame.nonFinite.length, ratio: uPlot.pxRatio };
}

function isSame(a: Window, b: Window): boolean {
  return a.from === b.from && a.to === b.to;
}

/** The ends of the axis of values, and of the values that it was made for; null: there were none. */
interface Axis {
  readonly low: number | null;
  readonly high: number | null;
  readonly ends: [number, number];
}

export class LiveChart implements Chart {
  private plot: uPlot | null = null;
  private picture: Picture | null = null;
  private pointed: number | null = null;
  private drawn: Drawn | null = null;
  private axis: Axis = { low: null, high: null, ends: [0, 1] };
  /** a tip has values that its axis was not made for */
  private isOutgrown = false;
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

  get drawnTo(): number | null {
    return this.drawn?.lastStep ?? null;
  }

  draw(picture: Picture): void {
    const width = this.host.clientWidth;
    const height = this.host.clientHeight;
    if (width === 0 || height === 0) return;
    this.picture = picture;
    const data = dataOf(picture);
    const key = keyOf(picture);
    const u = this.plot;
    if (u === null || key !== this.drawn?.key) {
      this.destroy();
      this.plot = new uPlot(this.options(picture, width, height), data, this.host);
      this.plot.over.parentElement?.append(this.glyphs.element);
    } else {
      if (u.width !== width || u.height !== height) u.setSize({ width, height });
      u.batch(() => u.setData(data, true));
    }
    this.drawn = drawnBy(picture, key);
    this.point(this.pointed);
  }

  extend(tip: Picture): boolean {
    const { plot: u, drawn, host } = this;
    if (u === null || drawn === null || tip.behind === null) return false;
    const isSized = u.width === host.clientWidth && u.height === host.clientHeight && drawn.ratio === uPlot.pxRatio;
    const isInPlace = isSized && isSame(tip.window, drawn.window);
    // Crosses keep a distance from each other, which begins with the first of all.
    if (!isInPlace || keyOf(tip) !== drawn.key || tip.frame.nonFinite.length > 0) return false;
    this.picture = tip;
    this.isOutgrown = false;
    const left = u.valToPos(Math.max(tip.behind, tip.window.from), "x", true) - TIP_PX * uPlot.pxRatio;
    within(u, left, () => u.batch(() => u.setData(dataOf(tip), true)));
    this.drawn = { ...drawnBy(tip, drawn.key), nonFinite: drawn.nonFinite };
    return !this.isOutgrown;
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
    this.drawn = null;
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
      series: seriesOf(picture),
      hooks: {
        drawClear: [(u) => this.paintBehind(u)],
        drawAxes: [(u) => this.paintColumns(u, false)],
        draw: [(u) => this.paintUpon(u)],
        setSelect: [(u) => this.select(u)],
      },
    };
  }

  /** The frame changes without the plot being built anew: what is asked is asked of the newest picture. */
  private yScale(picture: Picture): uPlot.Scale {
    // 3 is Logarithmic, 4 is ArcSinh: an ambient const enum cannot be named under isolatedModules.
    const range: uPlot.Scale.Range = (_, low, high) => this.yRange(this.picture ?? picture, low, high);
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
    if (picture.scale === "log") return { distr: 3, range };
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
    return picture.scale === "symlog" ? { distr: 4, asinh: picture.threshold, range } : { range };
  }

  /** A tip is drawn on the axis that is there. */
  private yRange(picture: Picture, low: number | null, high: number | null): [number, number] {
    const { axis } = this;
    if (picture.behind === null) this.axis = { low, high, ends: rangeOf(picture, low, high) };
    else if (low !== null && high !== null)
      this.isOutgrown ||= axis.low === null || axis.high === null || low < axis.low || high > axis.high;
    return this.axis.ends;
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

  /** The low and high of every column behind the means; of a stack those of the total, upon the others. */
  private paintColumns(u: uPlot, isUpon: boolean): void {
    const { picture } = this;
    if (picture?.isDense !== true || !picture.isPaired || picture.isStacked !== isUpon) return;
    const { lines, frame, isStacked, theme } = picture;
    const [pane, places] = [paneOf(u), placesIn(u, picture)];
    const { ctx, ratio } = pane;
    const bottom = pane.top + pane.height;
    const fillRect = ctx.fillRect.bind(ctx);
    clipped(pane, () => {
      for (let at = isStacked ? 0 : lines.length - 1; at >= 0; at -= 1) {
        const [line, values] = [lines[at], frame.ys[at]];
        if (line === undefined || values === undefined) continue;
        ctx.fillStyle = `${colourOf(theme, line.look)}${BAR_ALPHA}`;
        traceBars(fillRect, { steps: frame.x, values }, places, bottom, ratio);
      }
    });
  }

  private paintUpon(u: uPlot): void {
    const picture = this.picture;
    if (picture === null) return;
    const pane = paneOf(u);
    this.paintColumns(u, true);
    paintMarks(pane, picture.overlay.marks, picture.theme);
    paintBandNames(pane, picture.overlay.bands, picture.theme);
    paintNonFinite(pane, picture.frame.nonFinite, picture.theme);
    this.glyphs.place(picture, (step) => u.valToPos(step, "x"), u.over.offsetLeft);
    const before = picture.behind === null ? 0 : (this.drawn?.nonFinite ?? 0);
    this.listeners.onDrawn(picture.lastStep, before + picture.frame.nonFinite.length);
  }
}

/** Draws on what lies to the right of `left`. uPlot believes that the canvas has the styles that it set last. */
function within({ ctx }: uPlot, left: number, draw: () => void): void {
  ctx.save();
  ctx.beginPath();
  ctx.rect(Math.floor(left), 0, ctx.canvas.width, ctx.canvas.height);
  ctx.clip();
  draw();
  const { strokeStyle, fillStyle, lineWidth, lineJoin, lineCap } = ctx;
  const dash = ctx.getLineDash();
  ctx.restore();
  Object.assign(ctx, { strokeStyle, fillStyle, lineWidth, lineJoin, lineCap });
  ctx.setLineDash(dash);
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

/** Digits of the axis' font are about this wide. */
const DIGIT_PX = 6.6;

/** A step below its line; empty between steps, and where the canvas ends before the label does. */
function stepLabel(u: uPlot, value: number): string {
  if (!Number.isInteger(value)) return "";
  const label = stepText(value);
  const room = u.width - AXIS_WIDTH - u.valToPos(value, "x");
  return (label.length * DIGIT_PX) / 2 > room ? "" : label;
}
