/**
 * Opens a chart in Plotly, to explore and export; the only file that knows it.
 *
 * Rules of this file:
 * - The bundle is 4.8 MB: it is loaded when a person asks for it the first time, from our own server.
 * - Only SVG scatter traces: they work under a CSP without 'unsafe-inline' and 'unsafe-eval' (tried), and on a machine
 *   without a GPU they are eight times faster than its WebGL.
 * - Plotly reads markup in text. Names come from the wire, so every text goes through `plain`.
 */
import { step as stepText } from "../lib/format";
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

function tracesOf({ lines, frame, theme, spec }: Picture): Json[] {
  const traces: Json[] = lines.map((line, i) => ({
    type: "scatter",
    mode: "lines",
    name: plain(line.label),
    x: frame.x,
    y: (frame.ys[i] ?? []).map((value) => value ?? null),
    connectgaps: false,
    line: {
      color: colourOf(theme, line.look),
      width: line.isTotal ? 2.5 : 1.5,
      dash: line.look.dash.map((px) => `${px}px`).join(",") || "solid",
      shape: spec.isStepped ? "hv" : "linear",
    },
  }));
  if (frame.nonFinite.length === 0) return traces;
  const names = frame.nonFinite.map((mark) =>
    plain(`${lines[mark.series]?.label ?? ""} not finite, step ${stepText(mark.step)}`),
  );
  const marker = { symbol: "x", size: 9, color: theme.critical };
  return [
    ...traces,
    {
      type: "scatter",
      mode: "markers",
      name: "not finite",
      x: frame.nonFinite.map((mark) => mark.step),
      y: frame.nonFinite.map(() => 1),
      yaxis: "y2",
      cliponaxis: false,
      text: names,
      hoverinfo: "text",
      marker,
    },
  ];
}

function layoutOf({ spec, overlay, window, isLog, theme, frame }: Picture): Json {
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
    xaxis: { ...axis, title: { text: "step" }, range: [window.from, window.to] },
    yaxis: { ...axis, type: isLog ? "log" : "linear", exponentformat: "e", title: { text: plain(spec.unit) } },
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
