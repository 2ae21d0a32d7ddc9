/**
 * Makes what a renderer draws: the visible lines of a chart, folded to its pixels.
 *
 * Rules of this file: pure, save for reading the store; it is asked at every redraw, so its cost is the points in the
 * window and nothing else.
 */
import type { Form, Liking } from "../lib/chartPrefs";
import {
  type Folded,
  type Frame,
  type Range,
  type Window,
  fold,
  isFolded,
  lines as linesOf,
  stack,
} from "../lib/fold";
import type { Gap } from "../lib/gaps";
import { type HeatGrid, heatOf } from "../lib/heat";
import { roomyWindow } from "../lib/room";
import { type Scale, thresholdOf } from "../lib/scale";
import type { SeriesBuffer } from "../lib/series";
import { shareHeap } from "../lib/shares";
import { type Smoothing, smoothSteps } from "../lib/smooth";
import type { PointStore } from "../lib/store";
import { gathered } from "./gather";
import type { Overlay } from "./overlay";
import type { ChartSpec, Line } from "./spec";
import type { Theme } from "./theme";

export interface Picture {
  readonly spec: ChartSpec;
  /** the visible lines, in the order of frame.ys */
  readonly lines: readonly Line[];
  readonly frame: Frame;
  readonly window: Window;
  readonly overlay: Overlay;
  readonly gaps: readonly Gap[];
  readonly form: Form;
  readonly scale: Scale;
  /** of symlog */
  readonly threshold: number;
  /** parts are heaped under the total */
  readonly isStacked: boolean;
  /** lines are faint, low and high of a column, with their mean in them: of a column, or smoothed */
  readonly isDense: boolean;
  /** a column has two values, its low and its high */
  readonly isPaired: boolean;
  /** how many steps a smoothed mean takes; 0 where nothing is smoothed */
  readonly smoothSteps: number;
  /** of shares: how many of frame.ys are heaped upwards, the others hang below 0 */
  readonly upwards: number;
  readonly heat: HeatGrid | null;
  readonly theme: Theme;
  /** the newest step that is drawn */
  readonly lastStep: number | null;
  /** of a tip: the step behind which it differs from what was drawn before; null: the picture is of all */
  readonly behind: number | null;
}

export interface Choices {
  readonly scale: Scale;
  readonly form: Form;
  readonly hidden: ReadonlySet<string>;
}

/** More lines than this in one chart are no longer told apart; the others start hidden and wait in the legend. */
const VISIBLE_AT_FIRST = 12;

/** What a chart begins with: what a person liked of its kind, where it can be shown so. */
export function firstChoices(spec: ChartSpec, liking: Liking = {}): Choices {
  const parts = spec.lines.filter((line) => !line.isTotal);
  const usual: Form = spec.canStack ? "areas" : "lines";
  const form = liking.form !== undefined && formsOf(spec).includes(liking.form) ? liking.form : usual;
  return {
    form,
    scale: spec.bounds === null ? (liking.scale ?? (spec.isLog ? "log" : "linear")) : "linear",
    hidden: new Set(parts.slice(VISIBLE_AT_FIRST).map((line) => line.name)),
  };
}

/** The forms that a chart can have. */
export function formsOf(spec: ChartSpec): readonly Form[] {
  if (spec.canStack) return ["areas", "shares", "lines"];
  return spec.canHeat ? ["lines", "heat"] : ["lines"];
}

export interface Ground {
  readonly store: PointStore;
  readonly range: Range;
  /** more steps will come */
  readonly isGoingOn: boolean;
  readonly overlay: Overlay;
  readonly gaps: readonly Gap[];
  readonly smoothing: Smoothing;
  readonly theme: Theme;
}

/**
 * The picture of a chart `width` pixels wide; null while there is nothing to draw. With `drawnTo`, the newest step that is
 * on the screen, only of what has changed since, with some columns before it.
 */
export function pictureOf(
  spec: ChartSpec,
  choices: Choices,
  ground: Ground,
  width: number,
  drawnTo: number | null = null,
): Picture | null {
  const window = roomyWindow(ground.range, ground.store.extent(), ground.isGoingOn);
  if (window === null) return null;
  const seen = foldedOf(spec, choices, ground, width, window, drawnTo);
  const drawn = choices.form === "shares" ? drawnShares(seen) : drawnLines(seen);
  const { frame } = drawn;
  return {
    ...drawn,
    spec,
    window,
    overlay: { bands: ground.overlay.bands, marks: gathered(ground.overlay.marks, window) },
    gaps: ground.gaps,
    threshold: drawn.scale === "symlog" ? thresholdOf([...frame.ys, ...frame.centres]) : 1,
    theme: ground.theme,
    lastStep: lastWithin(seen.buffers, window),
    behind: seen.behind,
  };
}

/** What is visible of a chart, folded; for shares all parts, because hidden ones are of the whole too. */
export interface Seen {
  readonly spec: ChartSpec;
  readonly choices: Choices;
  /** how many steps a running mean takes; 0: lines are not smoothed */
  readonly over: number;
  readonly window: Window;
  readonly width: number;
  /** those that are not hidden */
  readonly lines: readonly Line[];
  /** those of `buffers` */
  readonly names: readonly string[];
  readonly buffers: readonly (SeriesBuffer | undefined)[];
  readonly folded: Folded;
  /** nothing before it is folded, save some columns; null: all is */
  readonly behind: number | null;
}

export function foldedOf(
  spec: ChartSpec,
  choices: Choices,
  ground: Ground,
  width: number,
  window: Window,
  drawnTo: number | null = null,
): Seen {
  const lines = spec.lines.filter((line) => !choices.hidden.has(line.name));
  const names = choices.form === "shares" ? wholeOf(spec) : lines.map((line) => line.name);
  const buffers = names.map((name) => ground.store.view(name, window.from, window.to));
  const over = smoothSteps(ground.smoothing, window.to - window.from + 1);
  const behind = drawnTo === null ? null : changedBehind(buffers, drawnTo - over);
  const folded = fold(buffers, window, width, spec.gapSteps, ground.gaps, behind === null ? null : behind - over);
  return { spec, choices, over, window, width, lines, names, buffers, folded, behind };
}

/** Behind which step lines differ when points come behind `drawnTo`: one that had paused goes on from long before it. */
function changedBehind(buffers: readonly (SeriesBuffer | undefined)[], drawnTo: number): number {
  const goOn = buffers.filter((buffer) => buffer !== undefined && buffer.lastStep() > drawnTo);
  return Math.min(drawnTo, ...goOn.map((buffer) => buffer?.steps[buffer.indexAt(drawnTo)] ?? drawnTo));
}

/** The total and then all of its parts. */
function wholeOf(spec: ChartSpec): string[] {
  const total = spec.lines.find((line) => line.isTotal)?.name ?? "";
  return [total, ...spec.lines.filter((line) => !line.isTotal).map((line) => line.name)];
}

type Drawn = Pick<
  Picture,
  "lines" | "frame" | "form" | "scale" | "isStacked" | "isDense" | "isPaired" | "smoothSteps" | "upwards" | "heat"
>;

const PLAINLY = { isStacked: false, isDense: false, isPaired: false, smoothSteps: 0, upwards: 0, heat: null };

function drawnShares({ lines, choices, spec, folded, buffers }: Seen): Drawn {
  const parts = spec.lines.filter((line) => !line.isTotal);
  const isShown = parts.map((line) => !choices.hidden.has(line.name));
  const frame = shareHeap(folded, buffers.slice(1), isShown);
  const shown = lines.filter((line) => !line.isTotal);
  return { ...PLAINLY, lines: shown, frame, form: "shares", scale: "linear", upwards: frame.upwards };
}

function drawnLines({ lines, choices, folded, buffers, window, width, over }: Seen): Drawn {
  const { form } = choices;
  if (form === "heat")
    return {
      ...PLAINLY,
      lines,
      frame: linesOf(folded, false),
      form,
      scale: "log",
      heat: heatOf(folded, window, width),
    };
  // Areas are heaped under the total; without it, on another axis or with a negative part heaps would mislead.
  const isStacked =
    form === "areas" &&
    choices.scale === "linear" &&
    lines[0]?.isTotal === true &&
    lines.length > 1 &&
    !folded.series.some((column) => column.low.some((low) => low < 0));
  // Areas are not smoothed, so neither is their total.
  const smoothed = isStacked ? 0 : over;
  const isDense = smoothed > 0 || isFolded(window, width);
  const frame = isStacked
    ? stack(folded, buffers, isDense)
    : linesOf(folded, choices.scale === "log", isDense, smoothed);
  const isPaired = frame.x.length > folded.steps.length;
  const common = { ...PLAINLY, lines, frame, isDense, isPaired, smoothSteps: smoothed };
  return isStacked ? { ...common, form, scale: "linear", isStacked } : { ...common, form: "lines", scale: choices.scale };
}

function lastWithin(buffers: readonly (SeriesBuffer | undefined)[], window: Window): number | null {
  const steps = buffers.map((buffer) => buffer?.steps[buffer.indexAt(Math.floor(window.to))] ?? -1);
  const last = Math.max(-1, ...steps);
  return last < 0 ? null : last;
}
