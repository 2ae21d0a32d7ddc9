/**
 * Draws a heat map on a canvas: a row a series, steps along the same axis as every other chart.
 *
 * Rules of this file: it is handed finished grids (lib/heat.ts) and decides nothing. Cells are one image of a pixel each,
 * stretched: a thousand columns of a dozen rows cost less than a curve. Where a value is not finite there is a cross.
 */
import { type HeatGrid, heatAt, heatTicks, rampOf } from "../lib/heat";
import { step as stepText, tick } from "../lib/format";
import { linearTicks } from "../lib/ticks";
import { AXIS_WIDTH, type Chart, type ChartImage, type Listeners, RIGHT_PADDING, TOP_STRIP } from "./frame";
import { DragBox } from "./dragBox";
import { Glyphs } from "./glyphs";
import { type Pane, paintBandNames, paintCross, paintGaps, paintMarks, paintStrips, sized } from "./paint";
import type { Picture } from "./picture";
import type { Theme } from "./theme";

/** Steps, and below them the bar of colours. */
const FOOT_PX = 46;
const BAR = { width: 150, height: 8, below: 26 } as const;
const STEP_SPACING_PX = 90;
const CROSS_PX = 3;

export class HeatChart implements Chart {
  private readonly canvas = document.createElement("canvas");
  private readonly cells = document.createElement("canvas");
  private readonly box: DragBox;
  private readonly glyphs: Glyphs;
  private picture: Picture | null = null;
  private pointed: number | null = null;

  constructor(
    private readonly host: HTMLElement,
    private readonly listeners: Listeners,
  ) {
    this.glyphs = new Glyphs(listeners.onMark);
    this.box = new DragBox(listeners, () => this.picture?.window ?? null);
    host.append(this.canvas, this.box.element, this.glyphs.element);
  }

  get plotArea(): HTMLElement | null {
    return this.picture === null ? null : this.box.element;
  }

  /** A map's colours depend on all of it. */
  readonly drawnTo = null;

  extend(): boolean {
    return false;
  }

  draw(picture: Picture): void {
    const { clientWidth: width, clientHeight: height } = this.host;
    const { heat, theme, window } = picture;
    if (width === 0 || height === 0 || heat === null) return;
    this.picture = picture;
    const ratio = devicePixelRatio;
    const ctx = sized(this.canvas, width, height, ratio);
    if (ctx === null) return;
    const plot = { left: AXIS_WIDTH, top: TOP_STRIP, width: width - AXIS_WIDTH - RIGHT_PADDING, height: height - TOP_STRIP - FOOT_PX };
    this.box.place(plot);
    const pane = paneOf(ctx, plot, ratio, window);
    this.paintCells(pane, heat, theme);
    paintGaps(pane, picture.gaps, theme);
    paintStrips(pane, picture.overlay.marks, theme);
    paintMarks(pane, picture.overlay.marks, theme);
    paintBandNames(pane, picture.overlay.bands, theme);
    paintCrosses(pane, heat, theme);
    paintRowNames(pane, picture, theme);
    paintSteps(pane, picture, theme);
    paintBar(pane, heat, theme);
    this.glyphs.place(picture, (step) => pane.x(step) / ratio - plot.left, plot.left);
    this.point(this.pointed);
    this.listeners.onDrawn(picture.lastStep, picture.frame.nonFinite.length);
  }

  point(step: number | null): void {
    this.pointed = step;
    this.box.point(step);
  }

  image(theme: Theme): ChartImage | null {
    if (this.picture === null) return null;
    return { canvas: this.canvas, glyphs: this.glyphs.drawn(theme), ratio: devicePixelRatio };
  }

  destroy(): void {
    this.canvas.remove();
    this.box.element.remove();
    this.glyphs.element.remove();
  }

  private paintCells(pane: Pane, heat: HeatGrid, theme: Theme): void {
    const { rows, columns } = heat;
    if (rows === 0) return;
    this.cells.width = columns;
    this.cells.height = rows;
    const small = this.cells.getContext("2d");
    if (small === null) return;
    small.putImageData(imageOf(heat, theme), 0, 0);
    pane.ctx.imageSmoothingEnabled = false;
    pane.ctx.drawImage(this.cells, pane.left, pane.top, pane.width, pane.height);
    pane.ctx.strokeStyle = theme.paper;
    pane.ctx.lineWidth = pane.ratio;
    pane.ctx.beginPath();
    for (let row = 1; row < rows; row += 1) {
      const y = Math.round(pane.top + (row * pane.height) / rows);
      pane.ctx.moveTo(pane.left, y);
      pane.ctx.lineTo(pane.left + pane.width, y);
    }
    pane.ctx.stroke();
  }
}

const SHADES = 256;

function imageOf(heat: HeatGrid, theme: Theme): ImageData {
  const ramp = rampOf(theme.heat, SHADES);
  const image = new ImageData(heat.columns, heat.rows);
  heat.values.forEach((value, at) => {
    if (Number.isNaN(value)) return;
    const shade = Math.round(heatAt(value, heat) * (SHADES - 1)) * 3;
    for (let c = 0; c < 3; c += 1) image.data[at * 4 + c] = ramp[shade + c] ?? 0;
    image.data[at * 4 + 3] = 255;
  });
  return image;
}

function paneOf(
  ctx: CanvasRenderingContext2D,
  plot: { left: number; top: number; width: number; height: number },
  ratio: number,
  window: Picture["window"],
): Pane {
  const left = plot.left * ratio;
  const width = plot.width * ratio;
  return {
    ctx,
    left,
    width,
    ratio,
    top: plot.top * ratio,
    height: plot.height * ratio,
    x: (step) => left + ((step - window.from) / (window.to - window.from || 1)) * width,
    y: () => NaN,
  };
}

/** A cross in every cell that holds a NaN or an infinity, or one for several where they are narrower than it. */
function paintCrosses(pane: Pane, heat: HeatGrid, theme: Theme): void {
  const { ratio } = pane;
  const size = CROSS_PX * ratio;
  for (let row = 0; row < heat.rows; row += 1) {
    let last = -Infinity;
    const y = pane.top + ((row + 0.5) * pane.height) / heat.rows;
    for (let column = 0; column < heat.columns; column += 1) {
      if (heat.flags[row * heat.columns + column] === 0) continue;
      const x = pane.left + ((column + 0.5) * pane.width) / heat.columns;
      if (x - last < size * 2.4) continue;
      last = x;
      paintCross(pane, theme, x, y, size, 1.8 * ratio);
    }
  }
}

function textIn(pane: Pane, theme: Theme, align: CanvasTextAlign): void {
  pane.ctx.font = theme.font.replace("11px", `${11 * pane.ratio}px`);
  pane.ctx.fillStyle = theme.muted;
  pane.ctx.textAlign = align;
  pane.ctx.textBaseline = "middle";
}

/** Names that do not fit are cut in their beginning: what tells groups apart stands at their end. */
function paintRowNames(pane: Pane, { lines }: Picture, theme: Theme): void {
  const { ctx, ratio } = pane;
  textIn(pane, theme, "right");
  const room = (AXIS_WIDTH - 8) * ratio;
  const height = pane.height / Math.max(1, lines.length);
  const every = Math.max(1, Math.ceil((11 * ratio) / height));
  lines.forEach((line, row) => {
    if (row % every !== 0) return;
    let name = line.label;
    while (name.length > 3 && ctx.measureText(name).width > room) name = `…${name.replace(/^…/, "").slice(1)}`;
    ctx.fillText(name, pane.left - 6 * ratio, pane.top + (row + 0.5) * height);
  });
}

function paintSteps(pane: Pane, { window }: Picture, theme: Theme): void {
  textIn(pane, theme, "center");
  const most = Math.max(2, Math.floor(pane.width / pane.ratio / STEP_SPACING_PX));
  for (const step of linearTicks(window.from, window.to, most)) {
    if (!Number.isInteger(step)) continue;
    pane.ctx.fillText(stepText(step), pane.x(step), pane.top + pane.height + 12 * pane.ratio);
  }
}

/** The colours with their numbers: what is seen is told in the unit of the chart. */
function paintBar(pane: Pane, heat: HeatGrid, theme: Theme): void {
  const { ctx, ratio } = pane;
  const width = BAR.width * ratio;
  const left = pane.left + pane.width - width;
  const top = pane.top + pane.height + BAR.below * ratio;
  const ramp = rampOf(theme.heat, Math.round(width));
  for (let x = 0; x < Math.round(width); x += 1) {
    ctx.fillStyle = `rgb(${ramp[x * 3] ?? 0} ${ramp[x * 3 + 1] ?? 0} ${ramp[x * 3 + 2] ?? 0})`;
    ctx.fillRect(left + x, top, 1, BAR.height * ratio);
  }
  const y = top + BAR.height * ratio + 7 * ratio;
  let free = -Infinity;
  textIn(pane, theme, "center");
  for (const value of heatTicks(heat, 4)) {
    const x = left + heatAt(value, heat) * width;
    const half = ctx.measureText(tick(value)).width / 2;
    if (x - half < free) continue;
    free = x + half + 6 * ratio;
    ctx.fillText(tick(value), x, y);
  }
  textIn(pane, theme, "right");
  ctx.fillText("norm, logarithmic; × not finite", left - 8 * ratio, top + (BAR.height / 2) * ratio);
}
