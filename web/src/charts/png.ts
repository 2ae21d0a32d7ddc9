/**
 * A chart as a PNG: its title, its pixels with axes and marks, and its legend, on the paper of the theme.
 *
 * Rules of this file: a canvas and nothing else; text is drawn, never parsed.
 */
import { colourOf, type Theme } from "./theme";
import type { ChartImage } from "./frame";
import type { Line } from "./spec";

export interface Caption {
  readonly title: string;
  /** which run, which steps, and what was done to the points */
  readonly foot: string;
  readonly lines: readonly Line[];
  readonly theme: Theme;
}

const HEAD_PX = 30;
const ROW_PX = 18;
const FOOT_PX = 22;
const EDGE_PX = 14;
const SWATCH_PX = 18;

/** Throws where the browser makes no picture of a canvas. */
export async function pngOf(image: ChartImage, caption: Caption): Promise<Blob> {
  const canvas = composed(image, caption);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob === null ? reject(new Error("The browser made no picture.")) : resolve(blob)));
  });
}

function composed({ canvas, glyphs, ratio }: ChartImage, { title, foot, lines, theme }: Caption): HTMLCanvasElement {
  const width = canvas.width / ratio;
  const made = document.createElement("canvas");
  const measure = made.getContext("2d");
  if (measure === null) throw new Error("The browser draws no canvas.");
  measure.font = theme.font;
  const rows = rowsOf(lines, (text) => measure.measureText(text).width, width - 2 * EDGE_PX);
  const height = HEAD_PX + canvas.height / ratio + rows.length * ROW_PX + FOOT_PX;
  made.width = Math.round(width * ratio);
  made.height = Math.round(height * ratio);
  const ctx = made.getContext("2d");
  if (ctx === null) throw new Error("The browser draws no canvas.");
  ctx.scale(ratio, ratio);
  ctx.fillStyle = theme.paper;
  ctx.fillRect(0, 0, width, height);
  ctx.drawImage(canvas, 0, HEAD_PX, width, canvas.height / ratio);
  ctx.textBaseline = "middle";
  const say = (text: string, x: number, y: number, font: string, colour: string): void => {
    ctx.font = font;
    ctx.fillStyle = colour;
    ctx.fillText(text, x, y);
  };
  say(title, EDGE_PX, HEAD_PX / 2 + 2, theme.font.replace("11px", "600 14px"), theme.ink);
  ctx.textAlign = "center";
  for (const { x, text, colour } of glyphs) say(text, x, HEAD_PX + 22, theme.font, colour);
  ctx.textAlign = "left";
  const top = HEAD_PX + canvas.height / ratio;
  rows.forEach((row, i) => {
    for (const { line, x } of row) drawEntry(ctx, line, EDGE_PX + x, top + (i + 0.5) * ROW_PX, theme, say);
  });
  say(foot, EDGE_PX, height - FOOT_PX / 2 - 2, theme.font, theme.muted);
  return made;
}

type Say = (text: string, x: number, y: number, font: string, colour: string) => void;

function drawEntry(ctx: CanvasRenderingContext2D, line: Line, x: number, y: number, theme: Theme, say: Say): void {
  ctx.beginPath();
  ctx.strokeStyle = colourOf(theme, line.look);
  ctx.lineWidth = line.isTotal ? 3 : 2.5;
  ctx.setLineDash([...line.look.dash]);
  ctx.moveTo(x, y);
  ctx.lineTo(x + SWATCH_PX, y);
  ctx.stroke();
  ctx.setLineDash([]);
  say(line.label, x + SWATCH_PX + 6, y, theme.font, theme.ink);
}

interface Placed {
  readonly line: Line;
  readonly x: number;
}

/** The legend's entries in rows no wider than `room`. */
export function rowsOf(lines: readonly Line[], widthOf: (text: string) => number, room: number): Placed[][] {
  const rows: Placed[][] = [];
  let free = Infinity;
  for (const line of lines) {
    const width = SWATCH_PX + 6 + widthOf(line.label) + 16;
    if (free + width > room) {
      rows.push([]);
      free = 0;
    }
    rows.at(-1)?.push({ line, x: free });
    free += width;
  }
  return rows;
}
