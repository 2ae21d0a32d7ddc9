/**
 * What is painted behind and upon the curves: stage bands, contracts, mark lines, gaps, non-finite crosses.
 *
 * Rules of this file: it knows a canvas and two functions from values to pixels, not the chart library. All lengths are
 * canvas pixels; `ratio` of them make one CSS pixel.
 */
import type { NonFinite } from "../lib/fold";
import type { Gap } from "../lib/gaps";
import { type Band, type Mark, markColour } from "./overlay";
import type { Contract } from "./spec";
import type { Theme } from "./theme";

export interface Pane {
  readonly ctx: CanvasRenderingContext2D;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
  readonly x: (step: number) => number;
  readonly y: (value: number) => number;
}

/** Nearer crosses than this would only make a blot; the space between them is bad all the same. */
const CROSS_SPACING_PX = 7;

/** The canvas at `width` and `height` CSS pixels, cleared, with its context. */
export function sized(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
  ratio: number,
): CanvasRenderingContext2D | null {
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const ctx = canvas.getContext("2d");
  ctx?.clearRect(0, 0, w, h);
  return ctx;
}

export function clipped(pane: Pane, paint: () => void): void {
  const { ctx } = pane;
  ctx.save();
  ctx.beginPath();
  ctx.rect(pane.left, pane.top, pane.width, pane.height);
  ctx.clip();
  paint();
  ctx.restore();
}

export function paintBands(pane: Pane, bands: readonly Band[], theme: Theme): void {
  const { ctx, ratio } = pane;
  const right = pane.left + pane.width;
  clipped(pane, () => {
    for (const band of bands) {
      const from = Math.max(pane.left, pane.x(band.from));
      const to = band.to === null ? right : Math.min(right, pane.x(band.to));
      if (to <= from) continue;
      if (band.isOdd) {
        ctx.fillStyle = theme.band;
        ctx.fillRect(from, pane.top, to - from, pane.height);
      }
      ctx.fillStyle = theme.bandLine;
      if (from > pane.left) ctx.fillRect(Math.round(from), pane.top, ratio, pane.height);
    }
  });
}

/** How far above the plot a stage's name stands: above the glyphs of the marks. */
const NAME_RISE_PX = 19;

/** Names stand above the plot; one that does not fit the width of its band is cut, or left out. */
export function paintBandNames(pane: Pane, bands: readonly Band[], theme: Theme): void {
  const { ctx, ratio } = pane;
  const right = pane.left + pane.width;
  ctx.save();
  ctx.font = theme.font.replace("11px", `${11 * ratio}px`);
  ctx.textBaseline = "alphabetic";
  ctx.textAlign = "left";
  for (const band of bands) {
    const from = Math.max(pane.left, pane.x(band.from));
    const to = band.to === null ? right : Math.min(right, pane.x(band.to));
    const name = fitted(ctx, band.name, to - from - 10 * ratio);
    if (name === "") continue;
    ctx.fillStyle = theme.bandLine;
    ctx.fillRect(Math.round(from), pane.top - (NAME_RISE_PX + 10) * ratio, ratio, 12 * ratio);
    ctx.fillStyle = theme.muted;
    ctx.fillText(name, from + 5 * ratio, pane.top - NAME_RISE_PX * ratio);
  }
  ctx.restore();
}

function fitted(ctx: CanvasRenderingContext2D, name: string, room: number): string {
  if (ctx.measureText(name).width <= room) return name;
  for (let length = name.length - 1; length >= 4; length -= 1) {
    const cut = `${name.slice(0, length)}…`;
    if (ctx.measureText(cut).width <= room) return cut;
  }
  return "";
}

export function paintContracts(pane: Pane, contracts: readonly Contract[], theme: Theme): void {
  clipped(pane, () => {
    for (const { low, high } of contracts) {
      const top = high === null ? pane.top : pane.y(high);
      const bottom = low === null || pane.y(low) > pane.top + pane.height ? pane.top + pane.height : pane.y(low);
      pane.ctx.fillStyle = theme.contract;
      if (Number.isFinite(top) && Number.isFinite(bottom)) pane.ctx.fillRect(pane.left, top, pane.width, bottom - top);
    }
  });
}

/** Nearer lines of one colour than this would become a wall that hides the curves: a run may trip for hours. */
const MARK_SPACING_PX = 4;

/** Faint enough for curves to be read upon it. */
const SPAN_ALPHA = 0.13;
/** Along the top of the plot, where a ground would change the colours of cells. */
const STRIP_PX = 3;

/** A series of trips as one ground behind the curves; paintMarks draws the line at its beginning. */
export function paintSpans(pane: Pane, marks: readonly Mark[], theme: Theme): void {
  fillSpans(pane, marks, theme, pane.height, SPAN_ALPHA);
}

/** A series of trips as a strip above the cells of a heat map. */
export function paintStrips(pane: Pane, marks: readonly Mark[], theme: Theme): void {
  fillSpans(pane, marks, theme, STRIP_PX * pane.ratio, 1);
}

function fillSpans(pane: Pane, marks: readonly Mark[], theme: Theme, height: number, alpha: number): void {
  clipped(pane, () => {
    for (const mark of marks) {
      if (mark.to === undefined) continue;
      const from = pane.x(mark.step);
      pane.ctx.fillStyle = markColour(mark, theme);
      pane.ctx.globalAlpha = alpha;
      pane.ctx.fillRect(from, pane.top, Math.max(pane.ratio, pane.x(mark.to) - from), height);
    }
  });
}

export function paintMarks(pane: Pane, marks: readonly Mark[], theme: Theme): void {
  const { ctx, ratio } = pane;
  const last = new Map<string, number>();
  clipped(pane, () => {
    for (const mark of marks) {
      const x = Math.round(pane.x(mark.step)) + ratio / 2;
      const colour = markColour(mark, theme);
      if (x - (last.get(colour) ?? -Infinity) < MARK_SPACING_PX * ratio) continue;
      last.set(colour, x);
      ctx.beginPath();
      ctx.strokeStyle = colour;
      ctx.lineWidth = ratio;
      ctx.setLineDash(mark.severity === "none" ? [] : [3 * ratio, 3 * ratio]);
      ctx.moveTo(x, pane.top);
      ctx.lineTo(x, pane.top + pane.height);
      ctx.stroke();
    }
  });
}

/** Between two strokes of the hatching. */
const HATCH_PX = 6;

/** Steps that never came: hatched, so that it is told from the ground of a stage without colours; seen at every zoom. */
export function paintGaps(pane: Pane, gaps: readonly Gap[], theme: Theme): void {
  const { ctx, ratio } = pane;
  const right = pane.left + pane.width;
  for (const gap of gaps) {
    const from = Math.max(pane.left, pane.x(gap.from - 0.5));
    const to = Math.min(right, Math.max(pane.x(gap.to + 0.5), from + 2 * ratio));
    if (to <= pane.left || from >= right) continue;
    clipped({ ...pane, left: from, width: to - from }, () => {
      ctx.strokeStyle = theme.muted;
      ctx.lineWidth = ratio;
      ctx.beginPath();
      for (let x = from - pane.height; x < to; x += HATCH_PX * ratio) {
        ctx.moveTo(x, pane.top + pane.height);
        ctx.lineTo(x + pane.height, pane.top);
      }
      ctx.globalAlpha = 0.5;
      ctx.stroke();
    });
  }
}

/** The mark of a NaN or an infinity, round `x`, `y`; a rim of paper keeps it visible upon a curve or an area. */
export function paintCross(
  { ctx, ratio }: Pane,
  theme: Theme,
  x: number,
  y: number,
  size: number,
  width: number,
): void {
  ctx.beginPath();
  ctx.moveTo(x - size, y - size);
  ctx.lineTo(x + size, y + size);
  ctx.moveTo(x + size, y - size);
  ctx.lineTo(x - size, y + size);
  ctx.strokeStyle = theme.paper;
  ctx.lineWidth = width + 2.5 * ratio;
  ctx.stroke();
  ctx.strokeStyle = theme.critical;
  ctx.lineWidth = width;
  ctx.stroke();
}

/** A cross at the top edge for every column that holds a NaN or an infinity. */
export function paintNonFinite(pane: Pane, marks: readonly NonFinite[], theme: Theme): void {
  const { ctx, ratio } = pane;
  const size = 3.5 * ratio;
  const y = pane.top + size;
  let last = -Infinity;
  ctx.save();
  ctx.lineCap = "round";
  for (const mark of [...marks].sort((a, b) => a.step - b.step)) {
    const x = pane.x(mark.step);
    if (x < pane.left || x > pane.left + pane.width || x - last < CROSS_SPACING_PX * ratio) continue;
    last = x;
    paintCross(pane, theme, x, y, size, 2 * ratio);
  }
  ctx.restore();
}
