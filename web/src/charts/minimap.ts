/**
 * Draws the map of the whole run: its total, what happened in it, and which part the charts show.
 *
 * Rules of this file: a canvas and nothing else; views/MiniMap.tsx hears the mouse. The total is drawn on a scale that
 * shows all of it: logarithmic where it is positive and spans decades.
 */
import { type Window, fold, lines } from "../lib/fold";
import type { Gap } from "../lib/gaps";
import type { SeriesBuffer } from "../lib/series";
import { type Overlay, markColour } from "./overlay";
import { type Pane, paintBands, paintGaps, sized } from "./paint";
import type { Theme } from "./theme";

export interface Map {
  readonly total: SeriesBuffer | undefined;
  readonly whole: Window;
  readonly shown: Window;
  readonly overlay: Overlay;
  readonly gaps: readonly Gap[];
  readonly theme: Theme;
}

/** Over this ratio of highest to lowest a linear map would be a line along its bottom. */
const LOG_FROM = 30;
const PAD_PX = 3;
const HANDLE_PX = 3;

export function drawMap(canvas: HTMLCanvasElement, width: number, height: number, map: Map): void {
  const ratio = devicePixelRatio;
  const ctx = sized(canvas, width, height, ratio);
  if (ctx === null) return;
  const { whole, theme } = map;
  const x = (step: number): number => ((step - whole.from) / (whole.to - whole.from || 1)) * width * ratio;
  const pane: Pane = { ctx, left: 0, top: 0, width: width * ratio, height: height * ratio, ratio, x, y: () => NaN };
  paintBands(pane, map.overlay.bands, theme);
  paintGaps(pane, map.gaps, theme);
  paintTotal(pane, map);
  for (const mark of map.overlay.marks) {
    ctx.fillStyle = markColour(mark, theme);
    ctx.fillRect(Math.round(x(mark.step)), 0, ratio, (mark.severity === "none" ? 5 : 9) * ratio);
  }
  paintWindow(pane, map);
}

function paintTotal(pane: Pane, { total, whole, theme }: Map): void {
  const { ctx, ratio } = pane;
  // a column a pixel
  const frame = lines(fold([total], whole, (2 * pane.width) / ratio), false);
  const values = frame.ys[0] ?? [];
  const finite = values.filter((value) => typeof value === "number");
  const [low, high] = finite.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const isLog = low > 0 && high / low > LOG_FROM;
  const place = (value: number): number => (isLog ? Math.log(value) : value);
  const room = pane.height - 2 * PAD_PX * ratio;
  const span = place(high) - place(low) || 1;
  ctx.beginPath();
  let isDown = false;
  values.forEach((value, i) => {
    if (value === undefined) return;
    if (value === null) isDown = false;
    else {
      const y = pane.top + PAD_PX * ratio + (1 - (place(value) - place(low)) / span) * room;
      const at = pane.x(frame.x[i] ?? 0);
      if (isDown) ctx.lineTo(at, y);
      else ctx.moveTo(at, y);
      isDown = true;
    }
  });
  ctx.strokeStyle = theme.ink;
  ctx.lineWidth = ratio;
  ctx.stroke();
  ctx.fillStyle = theme.critical;
  for (const { step } of frame.nonFinite) ctx.fillRect(pane.x(step) - ratio, pane.height - 4 * ratio, 2 * ratio, 4 * ratio);
}

/** What is not shown lies in a haze; the window has a rim and two handles. */
function paintWindow(pane: Pane, { shown, theme }: Map): void {
  const { ctx, ratio } = pane;
  const from = Math.max(0, pane.x(shown.from));
  const to = Math.min(pane.width, Math.max(pane.x(shown.to), from + 2 * ratio));
  ctx.globalAlpha = 0.62;
  ctx.fillStyle = theme.paper;
  ctx.fillRect(0, 0, from, pane.height);
  ctx.fillRect(to, 0, pane.width - to, pane.height);
  ctx.globalAlpha = 1;
  ctx.strokeStyle = theme.command;
  ctx.lineWidth = ratio;
  ctx.strokeRect(from + ratio / 2, ratio / 2, to - from - ratio, pane.height - ratio);
  ctx.fillStyle = theme.command;
  for (const x of [from, to - HANDLE_PX * ratio])
    ctx.fillRect(x, pane.height * 0.3, HANDLE_PX * ratio, pane.height * 0.4);
}
