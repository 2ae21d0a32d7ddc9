/**
 * Who moved the total over a range of steps that a person chose: the server's answer, made ready for a table.
 *
 * Rules of this file: docs/protocol.md section 2 is the definition; a percent stands in one place only, so that those
 * of the table add up to 100, as those of the bar do.
 */
import { sharesOf } from "./blame";
import { type Fields, fields, fieldsOrNull, list, numberOr, numberOrNull, text, texts } from "./decode";
import { short } from "./format";
import { type Blame, blameOf } from "./blamed";

/** A value at the range's two ends. */
export interface Ends {
  readonly from: number;
  readonly to: number;
}

export interface SpanTotal extends Ends {
  readonly delta: number;
  /** what of it no component explains */
  readonly unexplained: number;
}

export interface SpanBlame {
  readonly blame: Blame;
  /** each end is the median of so many rows */
  readonly samples: number;
  /** null where the run has no total */
  readonly total: SpanTotal | null;
  readonly components: readonly { readonly component: string; readonly weight: Ends; readonly loss: Ends }[];
  /** components whose weight nobody said: 1 was taken */
  readonly assumed: readonly string[];
}

/** What was asked for, and what became of it. */
export type Explained =
  | { readonly kind: "asked"; readonly from: number; readonly to: number }
  | { readonly kind: "told"; readonly from: number; readonly to: number; readonly span: SpanBlame }
  | { readonly kind: "refused"; readonly from: number; readonly to: number; readonly why: string };

function endsOf(value: unknown): Ends {
  const [from, to] = list(value);
  return { from: numberOr(from, NaN), to: numberOr(to, NaN) };
}

function totalOf(f: Fields | null): SpanTotal | null {
  if (f === null) return null;
  return {
    from: numberOr(f["from"], NaN),
    to: numberOr(f["to"], NaN),
    delta: numberOr(f["delta"], NaN),
    unexplained: numberOr(f["unexplained"], NaN),
  };
}

export function spanBlameOf(value: unknown): SpanBlame {
  const f = fields(value);
  return {
    blame: blameOf(f) ?? { fromStep: null, toStep: null, deltaTotal: null, parts: [], text: "" },
    samples: numberOrNull(f["samples"]) ?? 0,
    total: totalOf(fieldsOrNull(f["total"])),
    components: list(f["components"]).map((item) => {
      const component = fields(item);
      return {
        component: text(component["component"]),
        weight: endsOf(component["weight"]),
        loss: endsOf(component["loss"]),
      };
    }),
    assumed: texts(f["assumed"]),
  };
}

/** How much of the change one cause made; null where it made none. */
export interface Moved {
  readonly delta: number;
  readonly percent: number;
}

export interface SpanRow {
  readonly component: string;
  readonly weight: Ends;
  readonly loss: Ends;
  readonly byLoss: Moved | null;
  readonly bySchedule: Moved | null;
}

/** A row a component, what moved most first. */
export function rowsOf(span: SpanBlame): SpanRow[] {
  const shares = sharesOf(span.blame.parts);
  const movedBy = (component: string, cause: string): Moved | null => {
    const share = shares.find((part) => part.component === component && part.cause === cause);
    return share === undefined ? null : { delta: share.delta, percent: share.shown };
  };
  const rows = span.components.map((each) => ({
    ...each,
    byLoss: movedBy(each.component, "loss"),
    bySchedule: movedBy(each.component, "schedule"),
  }));
  return rows.sort((a, b) => sizeOf(b) - sizeOf(a));
}

function sizeOf({ byLoss, bySchedule }: SpanRow): number {
  return Math.abs(byLoss?.percent ?? 0) + Math.abs(bySchedule?.percent ?? 0);
}

/** Less than this part of the total's change is the rounding of float32. */
const WORTH_SAYING = 0.01;

/** What the table does not show, in sentences. */
export function remarksOf({ total, assumed, samples }: SpanBlame): string[] {
  const remarks: string[] = [];
  if (samples > 1) remarks.push(`Each end is the median of ${samples} rows.`);
  if (total !== null && Math.abs(total.unexplained) > WORTH_SAYING * Math.abs(total.delta))
    remarks.push(
      `The total itself went from ${short(total.from)} to ${short(total.to)}; ` +
        `${signed(total.unexplained)} of that is in no component.`,
    );
  if (assumed.length > 0)
    remarks.push(`Nobody said the ${assumed.length === 1 ? "weight" : "weights"} of ${assumed.join(", ")}: 1 was taken.`);
  return remarks;
}

export function signed(value: number, digits = 3): string {
  return `${value > 0 ? "+" : ""}${short(value, digits)}`;
}

/** "2.4 → 8.9", or one number where it stands still. */
export function endsText({ from, to }: Ends): string {
  const [first, last] = [short(from, 4), short(to, 4)];
  return first === last ? first : `${first} → ${last}`;
}
