/**
 * The series of a plot of uPlot: what each is drawn as, of which data.
 *
 * Rules of this file: with uplot.ts the only one that knows uPlot; here what a plot is built from, there the plot itself.
 */
import uPlot from "uplot";
import type { Values } from "../lib/fold";
import { loneOf } from "../lib/lone";
import { type Course, type Manner, type Places, placesOf, traceArea, traceLine } from "./paths";
import type { Picture } from "./picture";
import type { Line } from "./spec";
import { colourOf } from "./theme";

/** What a plot is built from; data, window and marks may change without it. */
export function keyOf(picture: Picture): string {
  const { spec, lines, scale, threshold, form, isStacked, isDense, isPaired, smoothSteps, frame, theme } = picture;
  return [
    spec.id,
    scale,
    threshold,
    form,
    isStacked,
    isDense,
    isPaired,
    smoothSteps > 0,
    frame.ys.length,
    theme.paper,
    theme.ink,
    ...lines.map((line) => `${line.name}:${line.look.colour}:${line.look.dash.join()}`),
  ].join("|");
}

/** uPlot draws in the order of its series, ours are in reading order: the first is drawn last, upon the others. */
export function dataOf({ frame, isStacked, form }: Picture): uPlot.AlignedData {
  if (form === "shares") return [frame.x, ...frame.ys];
  if (isStacked) return [frame.x, ...frame.ys.slice(1), frame.ys[0] ?? [], ...frame.centres];
  return [frame.x, ...[...frame.ys].reverse(), ...[...frame.centres].reverse()];
}

/** What is smoothed away must be seen, but not hide its own mean. */
const FAINT_ALPHA = 0.3;

export function seriesOf(picture: Picture): uPlot.Series[] {
  if (picture.form === "shares") return shareSeries(picture);
  return picture.isStacked ? stackedSeries(picture) : lineSeries(picture);
}

function lineSeries(picture: Picture): uPlot.Series[] {
  const { lines, spec, isDense } = picture;
  const reversed = [...lines].reverse();
  // A mean is no step line, whatever it is the mean of.
  const plain = reversed.map((line) => strokeOf(line, picture));
  if (isDense) return [{}, ...reversed.map((line) => faintOf(line, picture)), ...plain];
  if (!spec.isStepped) return [{}, ...plain];
  return [{}, ...reversed.map((line) => ({ ...strokeOf(line, picture), paths: linePaths(picture, line, true) }))];
}

/** What lies behind a mean: bars of the columns, which are painted apart, or the line that was smoothed. */
function faintOf(line: Line, picture: Picture): uPlot.Series {
  if (picture.isPaired) return { paths: () => null, points: { show: false } };
  return { ...strokeOf(line, picture), alpha: FAINT_ALPHA };
}

/** One pixel: a wider line of a noisy curve is rasterised by a path stroker, which took 11 ms a frame instead of 1. */
const LINE_WIDTH = 1;

/** Of the dot that stands for a value which no line reaches. */
const DOT_PX = 4;

function strokeOf(line: Line, picture: Picture): uPlot.Series {
  const stroke = colourOf(picture.theme, line.look);
  const points = { show: false, filter: loneIn, size: DOT_PX, width: 0, fill: stroke };
  return { stroke, width: LINE_WIDTH, dash: [...line.look.dash], points, paths: linePaths(picture, line) };
}

function loneIn(u: uPlot, series: number): number[] | null {
  return loneOf(u.data[0] as number[], u.data[series] as Values);
}

/** Areas between neighbouring sums, the lowest down to 0, and the total as a line upon them. */
function stackedSeries(picture: Picture): uPlot.Series[] {
  const [total, ...parts] = picture.lines;
  if (total === undefined) return [{}];
  const behind = picture.isDense ? [faintOf(total, picture)] : [];
  return [{}, ...heapOf(parts, picture, 1), ...behind, strokeOf(total, picture)];
}

/** Areas upwards from 0, and where parts are negative, downwards from it. */
function shareSeries(picture: Picture): uPlot.Series[] {
  const { lines, frame, upwards } = picture;
  const down = frame.ys.length > upwards ? heapOf(lines, picture, 1 + upwards) : [];
  return [{}, ...heapOf(lines, picture, 1), ...down];
}

/** A heap whose first sum is uPlot's series `first`. */
function heapOf(parts: readonly Line[], picture: Picture, first: number): uPlot.Series[] {
  return parts.map((line, i) => ({
    ...strokeOf(line, picture),
    fill: `${colourOf(picture.theme, line.look)}88`,
    paths: areaPaths(picture, line, i === 0 ? null : first + i - 1),
  }));
}

type Measure = Pick<Picture, "scale" | "threshold">;

/** Of a dashed line: lib/fold.ts folds a tip from before the stretch in which it begins. */
const STRETCH_PX = 64;

function mannerOf({ look }: Line, isStepped = false): Manner {
  return { isStepped, stretchPx: look.dash.length > 0 ? STRETCH_PX * uPlot.pxRatio : Infinity };
}

function linePaths({ scale, threshold }: Measure, line: Line, isStepped = false): uPlot.Series.PathBuilder {
  return (u, series, from, to) => {
    const stroke = new Path2D();
    traceLine(stroke, courseOf(u, series, from, to), placesIn(u, { scale, threshold }), mannerOf(line, isStepped));
    return { stroke };
  };
}

/** The line of a series and the area between it and the series `below`, or 0. */
function areaPaths({ scale, threshold }: Measure, line: Line, below: number | null): uPlot.Series.PathBuilder {
  return (u, series, from, to) => {
    const [stroke, fill] = [new Path2D(), new Path2D()];
    const [course, places] = [courseOf(u, series, from, to), placesIn(u, { scale, threshold })];
    traceLine(stroke, course, places, mannerOf(line));
    traceArea(fill, course, below === null ? null : (u.data[below] as Values), places);
    return { stroke, fill };
  };
}

function courseOf(u: uPlot, series: number, from: number, to: number): Course {
  return { steps: u.data[0] as number[], values: u.data[series] as Values, from, to };
}

/** A plot is built anew when its scale changes or its threshold. */
export function placesIn(u: uPlot, measure: Measure): Places {
  return placesOf({ ...measure, box: u.bbox, x: endsOf(u, "x"), y: endsOf(u, "y") });
}

function endsOf(u: uPlot, scale: "x" | "y"): [number, number] {
  return [u.scales[scale]?.min ?? 0, u.scales[scale]?.max ?? 1];
}
