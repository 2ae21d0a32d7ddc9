/**
 * Opens a chart in Plotly, to explore and export; the only file that knows it.
 *
 * Rules of this file:
 * - The bundle is 4.8 MB: it is loaded when a person asks for it the first time, from our own server.
 * - Only SVG scatter traces and heat maps: they work under a CSP without 'unsafe-inline' and 'unsafe-eval' (tried), and on a machine
 *   without a GPU they are eight times faster than its WebGL.
 * - Plotly reads markup in text. Names come from the wire, so every text goes through `plain`.
 */
import { share as percent, short, step as stepText } from "../lib/format";
import type { HeatGrid } from "../lib/heat";
import { symlogTicks, toSymlog } from "../lib/scale";
import sheetAddress from "./plotly.css?url";
import { type Mark, markColour } from "./overlay";
import type { Picture } from "./picture";
import { type Theme, colourOf } from "./theme";

/** The bundle did not arrive. */
export class PlotlyMissing extends Error {
  override readonly name = "PlotlyMissing";
  constructor() {
    super("The explorer could not be loaded from the server (plotly.min.js).");
  }
}

type Json = string | number | boolean | null | undefined | readonly Json[] | { readonly [key: string]: Json };

interface Plotly {
  readonly newPlot: (host: HTMLElement, traces: readonly Json[], layout: Json, config: Json) => Promise<unknown>;
  readonly purge: (host: HTMLElement) => void;
}

declare global {
  interface Window {
    Plotly?: Plotly;
  }
}

const SHEET_ID = "plotly.js-style-global";
/** By which the bundle (4.1) knows that the inline sheet of its maps is there. They are not drawn, and our CSP refuses it. */
const MAP_SHEET_ID = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";

function loaded(element: HTMLLinkElement | HTMLScriptElement): Promise<void> {
  return new Promise((resolve, reject) => {
    element.addEventListener("load", () => resolve());
    element.addEventListener("error", () => {
      element.remove();
      reject(new PlotlyMissing());
    });
    document.head.append(element);
  });
}

/** A function, because the script changes it behind the type checker's back. */
function present(): Plotly | undefined {
  return window.Plotly;
}

async function load(): Promise<Plotly> {
  const known = present();
  if (known !== undefined) return known;
  if (document.getElementById(SHEET_ID) === null) {
    await loaded(
      Object.assign(document.createElement("link"), { id: SHEET_ID, rel: "stylesheet", href: sheetAddress }),
    );
  }
  if (document.getElementById(MAP_SHEET_ID) === null)
    document.head.append(Object.assign(document.createElement("template"), { id: MAP_SHEET_ID }));
  await loaded(
    Object.assign(document.createElement("script"), { src: new URL("plotly.min.js", document.baseURI).href }),
  );
  const arrived = present();
  if (arrived === undefined) throw new PlotlyMissing();
  return arrived;
}

/** Text that Plotly shows as it is: no tag, no entity, and no `$...$` that it would hand to a formula renderer. */
export function plain(name: string): string {
  return name.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("$", "\u200b$\u200b");
}

/** Draws the picture in `host`; answers how to take it away again. Throws PlotlyMissing. */
export async function explore(host: HTMLElement, picture: Picture): Promise<() => void> {
  const plotly = await load();
  await plotly.newPlot(host, tracesOf(picture), layoutOf(picture), {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  });
  return () => plotly.purge(host);
}

function tracesOf(picture: Picture): Json[] {
  const { lines, frame, theme, heat } = picture;
  const traces =
    heat !== null
      ? [heatTrace(picture, heat)]
      : picture.form === "shares"
        ? shareTraces(picture)
        : lineTraces(picture);
  if (frame.nonFinite.length === 0) return traces;
  const names = frame.nonFinite.map((mark) =>
    plain(`${lines[mark.series]?.label ?? ""} not finite, step ${stepText(mark.step)}`),
  );
  const marker = { symbol: "x", size: 9, color: theme.critical };
  const height = (series: number): number => (heat === null ? 1 : 1 - (series + 0.5) / Math.max(1, lines.length));
  return [
    ...traces,
    {
      type: "scatter",
      mode: "markers",
      name: "not finite",
      x: frame.nonFinite.map((mark) => mark.step),
      y: frame.nonFinite.map((mark) => height(mark.series)),
      yaxis: "y2",
      cliponaxis: false,
      text: names,
      hoverinfo: "text",
      marker,
    },
  ];
}

/** Lines; a smoothed mean over its faint band; real values in the hover, whatever the axis is. */
function lineTraces({ lines, frame, theme, spec, scale, threshold, smoothSteps }: Picture): Json[] {
  const placed = (value: number | null | undefined): number | null =>
    value == null ? null : scale === "symlog" ? toSymlog(value, threshold) : value;
  const trace = (at: number, values: (number | null | undefined)[], more: { readonly [key: string]: Json }): Json => {
    const line = lines[at];
    return {
      type: "scatter",
      mode: "lines",
      name: plain(line?.label ?? ""),
      x: frame.x,
      y: values.map(placed),
      text: values.map((value) => (value == null ? "" : short(value))),
      hovertemplate: "%{text}",
      connectgaps: false,
      line: {
        color: line === undefined ? theme.ink : colourOf(theme, line.look),
        width: line?.isTotal === true ? 2.5 : 1.5,
        dash: line?.look.dash.map((px) => `${px}px`).join(",") || "solid",
        shape: spec.isStepped ? "hv" : "linear",
      },
      ...more,
    };
  };
  const isSmoothed = smoothSteps > 0;
  const faint = { opacity: 0.3, showlegend: false };
  return [
    ...lines.map((_, i) => trace(i, frame.ys[i] ?? [], isSmoothed ? faint : {})),
    ...(isSmoothed ? lines.map((_, i) => trace(i, frame.centres[i] ?? [], {})) : []),
  ];
}

/** Heaps as on the page; the hover says each part's own share. */
function shareTraces({ lines, frame, theme, upwards }: Picture): Json[] {
  return frame.ys.map((values, i): Json => {
    const line = lines[i % Math.max(1, upwards)];
    const isLowest = i === 0 || i === upwards;
    const under = isLowest ? undefined : frame.ys[i - 1];
    const colour = line === undefined ? theme.ink : colourOf(theme, line.look);
    return {
      type: "scatter",
      mode: "lines",
      name: plain(line?.label ?? ""),
      showlegend: i < upwards,
      x: frame.x,
      y: values.map((value) => value ?? null),
      text: values.map((value, at) => (value == null ? "" : percent(value - (under?.[at] ?? 0)))),
      hovertemplate: "%{text}",
      fill: isLowest ? "tozeroy" : "tonexty",
      line: { color: colour, width: 1 },
    };
  });
}

/** Colours by the logarithm, numbers as they are. */
function heatTrace({ lines, theme, window }: Picture, heat: HeatGrid): Json {
  const row = (at: number): number[] => [...heat.values.subarray(at * heat.columns, (at + 1) * heat.columns)];
  const span = (window.to - window.from + 1) / heat.columns;
  return {
    type: "heatmap",
    // Without a gap it draws a stretched image by an inline style, which the CSP refuses.
    ygap: 1,
    x: Array.from({ length: heat.columns }, (_, i) => window.from + i * span),
    y: lines.map((line) => plain(line.label)),
    z: lines.map((_, i) => row(i).map((value) => (value > 0 ? Math.log10(value) : null))),
    text: lines.map((_, i) => row(i).map((value) => (Number.isNaN(value) ? "" : short(value)))),
    hovertemplate: "%{y}, step %{x}: %{text}<extra></extra>",
    colorscale: theme.heat.map((colour, i) => [i / (theme.heat.length - 1), colour]),
    zmin: Math.log10(heat.low),
    zmax: Math.log10(heat.high),
    // Its bar of colours writes inline styles, which the CSP refuses: the axis says the ends, the hover each value.
    showscale: false,
  };
}

function stepTitle(heat: HeatGrid | null): string {
  return heat === null ? "step" : `step · colours logarithmic, ${short(heat.low, 3)} to ${short(heat.high, 3)}`;
}

/** The axis of values: of symlog and of shares it is labelled by the real values. */
function valueAxis({ spec, scale, threshold, frame, heat, form }: Picture): { readonly [key: string]: Json } {
  if (heat !== null) return { type: "category", autorange: "reversed", automargin: true };
  if (form === "shares") return { tickformat: ".0%", title: { text: "share of the sum of magnitudes" } };
  const title = { text: plain(spec.unit) };
  if (scale !== "symlog") return { type: scale, exponentformat: "e", title };
  const finite = frame.ys.flat().filter((value) => typeof value === "number");
  const [low, high] = finite.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [0, 0]);
  const ticks = symlogTicks(low, high, threshold, 14);
  const [tickvals, ticktext] = [ticks.map((tick) => toSymlog(tick, threshold)), ticks.map((tick) => short(tick, 3))];
  return { type: "linear", tickmode: "array", tickvals, ticktext, title };
}

function layoutOf(picture: Picture): Json {
  const { overlay, window, theme, frame, heat } = picture;
  const axis = { gridcolor: theme.grid, linecolor: theme.grid, zerolinecolor: theme.grid };
  const bands = overlay.bands.filter((band) => band.from <= window.to && (band.to ?? Infinity) >= window.from);
  const lineAt = (x: number, color: string, dash: string): Json => ({
    type: "line",
    xref: "x",
    yref: "paper",
    x0: x,
    x1: x,
    y0: 0,
    y1: 1,
    line: { color, width: 1, dash },
  });
  return {
    paper_bgcolor: theme.paper,
    plot_bgcolor: theme.paper,
    font: { color: theme.ink, family: theme.font.slice(theme.font.indexOf(" ") + 1) },
    hovermode: "x unified",
    hoverlabel: { bgcolor: theme.paper, bordercolor: theme.grid },
    margin: { l: 70, r: 20, t: 50, b: 50 },
    xaxis: { ...axis, title: { text: stepTitle(heat) }, range: [window.from, window.to] },
    yaxis: { ...axis, ...valueAxis(picture) },
    ...(frame.nonFinite.length > 0
      ? { yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true } }
      : {}),
    shapes: [
      ...bands.map((band) => lineAt(band.from, theme.bandLine, "solid")),
      ...overlay.marks.flatMap((mark) => (mark.to === undefined ? [] : [spanOf(mark, theme)])),
      ...overlay.marks.map((mark) => lineAt(mark.step, markColour(mark, theme), "dot")),
    ],
    annotations: bands.map((band) => ({
      text: plain(band.name),
      x: Math.max(band.from, window.from),
      xref: "x",
      y: 1,
      yref: "paper",
      yanchor: "bottom",
      xanchor: "left",
      showarrow: false,
      font: { color: theme.muted, size: 11 },
    })),
  };
}

/** A series of trips: a faint ground behind the curves. */
function spanOf(mark: Mark, theme: Theme): Json {
  const fillcolor = markColour(mark, theme);
  const ends = { x0: mark.step, x1: mark.to ?? mark.step, y0: 0, y1: 1 };
  return { type: "rect", layer: "below", xref: "x", yref: "paper", ...ends, fillcolor, opacity: 0.13, line: { width: 0 } };
}
