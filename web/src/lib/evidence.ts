/**
 * The evidence of an incident as a picture: the series that went first and the total, around the onset.
 *
 * Rules of this file: pure; one step stands at one place in both panels; every bucket is drawn from its lowest to its
 * highest value and every non-finite one as a mark, so that nothing is hidden however small the picture is. A scale is
 * logarithmic only where linear would flatten the story, and then says so.
 */
import type { Answer } from "./answer";
import type { Buckets } from "./buckets";
import { short } from "./format";
import type { Incident } from "./incidents";
import type { Alert, SeriesInfo } from "./models";

export const TOTAL = "loss/total";

/** So many steps before the onset and after it: an event of one step is still seen, and what was usual before it. */
const AROUND_STEPS = 100;
/** A first sign further from the symptom than this stands in a picture of its own. */
const FAR_STEPS = 400;

/** What a picture's points are asked for with. */
export interface EvidenceDesk {
  readonly points: (run: string, series: readonly string[], window: Window, signal: AbortSignal) => Promise<Answer<Points>>;
}

export interface Window {
  readonly from: number;
  readonly to: number;
}

export type Points = ReadonlyMap<string, Buckets>;

/** The series that the picture shows unless a person chooses another: the cause, or else the first sign. */
export function culpritOf({ headline, firstBad }: Incident): string {
  const first = firstBad[0]?.series;
  return headline.series === TOTAL || headline.series === "" ? (first ?? TOTAL) : headline.series;
}

/** Where it begins: the step at which this series was off first, or the incident's. */
export function onsetOf({ firstBad, firstStep }: Incident, series: string): number {
  return firstBad.find((sign) => sign.series === series)?.step ?? firstStep;
}

export function windowOf(onset: number, symptom: number | null): Window {
  const end = symptom !== null && symptom > onset && symptom - onset <= FAR_STEPS ? symptom : onset;
  return { from: Math.max(0, onset - AROUND_STEPS), to: end + AROUND_STEPS };
}

/** A horizontal line: what is declared or tolerated (`limit`), what was usual (`level`), what was foretold. */
export interface Reference {
  readonly kind: "limit" | "level" | "foretold";
  readonly value: number;
  readonly label: string;
}

/** What the declarations, and the alerts of these steps, say of how large a series may be. */
export function referencesOf(
  series: string,
  alerts: readonly Alert[],
  infos: readonly SeriesInfo[],
  { from, to }: Window,
): Reference[] {
  const found: Reference[] = [];
  const add = (kind: Reference["kind"], value: number | null | undefined, word: string): void => {
    if (value == null || !Number.isFinite(value) || found.some((one) => one.value === value)) return;
    found.push({ kind, value, label: `${word} ${short(value, 3)}` });
  };
  const info = infos.find((one) => one.name === series);
  add("limit", info?.low, "at least");
  add("limit", info?.high, "at most");
  for (const alert of alerts) {
    // A level of other steps is another level.
    if (alert.step > to || (alert.resolvedStep ?? Infinity) < from) continue;
    const said = new Map(alert.evidence);
    if (series === TOTAL) add("foretold", said.get("predicted"), "foretold");
    if (alert.series !== series) continue;
    add("limit", said.get("low"), "at least");
    add("limit", said.get("high"), "at most");
    add("limit", said.get("least"), "at least");
    add("limit", alert.forecast?.threshold, "limit");
    if (found.every((one) => one.kind !== "level")) add("level", said.get("level"), "its level");
  }
  return found;
}

export interface Box {
  readonly width: number;
  readonly height: number;
}

export interface Panel {
  readonly path: string;
  /** single points that stand alone, where a line would show nothing */
  readonly dots: readonly (readonly [x: number, y: number])[];
  /** where something is not finite */
  readonly marks: readonly number[];
  readonly lines: readonly { readonly y: number; readonly kind: Reference["kind"]; readonly label: string }[];
  readonly onset: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly isLog: boolean;
  readonly nonFinite: number;
}

/** Beyond this ratio a linear scale shows a flat line and a spike. */
const LOG_RATIO = 30;
/** Fewer points than this are shown as such. */
const FEW = 24;

/** One series within the window, drawn into the box. */
export function panelOf(
  buckets: Buckets | undefined,
  window: Window,
  onset: number,
  references: readonly Reference[],
  box: Box,
): Panel {
  const spots = buckets === undefined ? [] : spotsOf(buckets, window);
  const finite = spots.flatMap(({ low, high }) => (Number.isNaN(low) ? [] : [low, high]));
  const shown = finite.length === 0 ? [] : [...finite, ...references.map((one) => one.value)];
  const bottom = shown.reduce((a, b) => Math.min(a, b), Infinity);
  const top = shown.reduce((a, b) => Math.max(a, b), -Infinity);
  const isLog = bottom > 0 && top / bottom > LOG_RATIO;
  const xOf = (step: number): number => ((step - window.from) / Math.max(1, window.to - window.from)) * box.width;
  const scale = (value: number): number => (isLog ? Math.log(value) : value);
  const yOf = (value: number): number =>
    top === bottom ? box.height / 2 : box.height * (1 - (scale(value) - scale(bottom)) / (scale(top) - scale(bottom)));
  const bad = spots.filter((spot) => spot.bad > 0);
  return {
    path: pathOf(spots, xOf, yOf),
    dots: spots.length > FEW ? [] : spots.flatMap((s) => (Number.isNaN(s.low) ? [] : [[xOf(s.step), yOf(s.high)] as const])),
    marks: bad.map((spot) => xOf(spot.step)),
    lines: finite.length === 0 ? [] : references.map(({ kind, label, value }) => ({ kind, label, y: yOf(value) })),
    onset: onset < window.from || onset > window.to ? null : xOf(onset),
    low: finite.length === 0 ? null : finite.reduce((a, b) => Math.min(a, b)),
    high: finite.length === 0 ? null : finite.reduce((a, b) => Math.max(a, b)),
    isLog,
    nonFinite: bad.reduce((sum, spot) => sum + spot.bad, 0),
  };
}

interface Spot {
  readonly step: number;
  /** NaN: nothing finite */
  readonly low: number;
  readonly high: number;
  /** how many are not finite */
  readonly bad: number;
}

function spotsOf(buckets: Buckets, { from, to }: Window): Spot[] {
  const spots: Spot[] = [];
  buckets.step.forEach((step, i) => {
    if (step < from || step > to) return;
    const bad = (buckets.nan[i] ?? 0) + (buckets.posInf[i] ?? 0) + (buckets.negInf[i] ?? 0);
    spots.push({ step, low: buckets.min[i] ?? NaN, high: buckets.max[i] ?? NaN, bad });
  });
  return spots;
}

/** A line that breaks where nothing is finite. */
function pathOf(spots: readonly Spot[], xOf: (step: number) => number, yOf: (value: number) => number): string {
  let said = "";
  let isBroken = true;
  for (const { step, low, high } of spots) {
    if (!Number.isNaN(low)) {
      const x = xOf(step).toFixed(1);
      said += `${isBroken ? "M" : "L"}${x} ${yOf(low).toFixed(1)}${high === low ? "" : `L${x} ${yOf(high).toFixed(1)}`}`;
    }
    isBroken = Number.isNaN(low);
  }
  return said;
}

/** What the panel's ends are, in words: "2.1 to 8.9, logarithmic; 3 not finite". */
export function rangeText({ low, high, isLog, nonFinite }: Panel): string {
  const bad = nonFinite === 0 ? "" : `${nonFinite} not finite`;
  if (low === null || high === null) return bad === "" ? "no points here" : `all ${bad}`;
  const span = low === high ? short(low, 3) : `${short(low, 3)} to ${short(high, 3)}`;
  return [`${span}${isLog ? ", log" : ""}`, ...(bad === "" ? [] : [bad])].join("; ");
}
