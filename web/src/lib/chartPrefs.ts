/**
 * How a person likes charts: scale and form of each kind of chart, and smoothing.
 *
 * Rules of this file: pure. What is read from storage may be anything, written by an older page or by hand: what cannot be
 * read is left out. Bounded, because kinds are named after what people log.
 */
import { fields, fieldsOrNull } from "./decode";
import { type Scale, isScale } from "./scale";
import { type Smoothing, isSmoothing } from "./smooth";

/** lines; heaped areas; shares of the total; a map of colours. */
export type Form = "lines" | "areas" | "shares" | "heat";
const FORMS: readonly Form[] = ["lines", "areas", "shares", "heat"];

export interface Liking {
  readonly scale?: Scale;
  readonly form?: Form;
}

export interface ChartPrefs {
  readonly smoothing: Smoothing;
  /** by the chart's id */
  readonly likings: Readonly<Record<string, Liking>>;
}

export const NO_PREFS: ChartPrefs = { smoothing: "off", likings: {} };
const MOST = 64;

function isForm(value: unknown): value is Form {
  return FORMS.some((form) => form === value);
}

export function prefsOf(text: string | null): ChartPrefs {
  const read = fields(parsed(text));
  const found = Object.entries(fieldsOrNull(read["likings"]) ?? {}).slice(-MOST);
  const likings = found.map(([id, value]): [string, Liking] => {
    const { scale, form } = fields(value);
    return [id, { ...(isScale(scale) ? { scale } : {}), ...(isForm(form) ? { form } : {}) }];
  });
  const { smoothing } = read;
  return { smoothing: isSmoothing(smoothing) ? smoothing : "off", likings: Object.fromEntries(likings) };
}

function parsed(text: string | null): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}

/** With what a person chose of one chart; the oldest is forgotten where there are too many. */
export function liked(prefs: ChartPrefs, id: string, change: Liking): ChartPrefs {
  const { [id]: before, ...others } = prefs.likings;
  const kept = Object.entries(others).slice(1 - MOST);
  return { ...prefs, likings: Object.fromEntries([...kept, [id, { ...before, ...change }]]) };
}
