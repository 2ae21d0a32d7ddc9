/**
 * What a change would have made of the steps that were: read from the server's dry run, and said.
 *
 * Rules of this file: pure; it claims nothing about steps to come, so it always says from which steps it was computed;
 * a value that is not finite breaks a line, it is never left out.
 */
import { fields, fieldsOrNull, integerOrNull, list, numberOr, numberOrNull, text } from "./decode";
import { share, short, step } from "./format";

export interface Pair {
  readonly before: number | null;
  readonly after: number | null;
}

export interface WhatIf {
  readonly from: number | null;
  readonly to: number | null;
  readonly steps: readonly number[];
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** at the newest of these steps; null where there is none */
  readonly now: Now | null;
  /** by component, the median over these steps */
  readonly shares: Readonly<Record<string, Pair>>;
  /** steps that could not be computed, because a loss is missing */
  readonly leftOut: number;
  /** what this can claim, in the server's words */
  readonly text: string;
}

export interface Now {
  readonly step: number | null;
  readonly total: Pair;
  readonly shares: Readonly<Record<string, Pair>>;
}

export function whatIfOf(value: unknown): WhatIf {
  const f = fields(value);
  const total = fields(f["total"]);
  const before = numbersOf(total["before"]);
  const after = numbersOf(total["after"]);
  return {
    from: integerOrNull(f["from"]),
    to: integerOrNull(f["to"]),
    steps: numbersOf(f["steps"]),
    before,
    after,
    now: nowOf(f["now"]),
    shares: pairsOf(f["share"]),
    leftOut: integerOrNull(f["left_out"]) ?? 0,
    text: text(f["text"]),
  };
}

function nowOf(value: unknown): Now | null {
  const f = fieldsOrNull(value);
  return f === null ? null : { step: integerOrNull(f["step"]), total: pairOf(f["total"]), shares: pairsOf(f["share"]) };
}

function numbersOf(value: unknown): number[] {
  return list(value).map((each) => numberOr(each, NaN));
}

function pairsOf(value: unknown): Record<string, Pair> {
  return Object.fromEntries(Object.entries(fields(value)).map(([name, pair]) => [name, pairOf(pair)]));
}

function pairOf(value: unknown): Pair {
  const f = fields(value);
  return { before: numberOrNull(f["before"]), after: numberOrNull(f["after"]) };
}

/** "share 76 % → 24 %, total 9.2 → 2.9", at the newest step; empty where none is stored. */
export function nowText({ now }: WhatIf, component: string | null): string {
  if (now === null) return "";
  const its = component === null ? undefined : now.shares[component];
  const shares = its === undefined ? "" : `share ${shareText(its)}, `;
  return `${shares}total ${short(now.total.before)} → ${short(now.total.after)}`;
}

function shareText({ before, after }: Pair): string {
  return `${share(before)} → ${share(after)}`;
}

/** From which steps it was computed, and the middle of what they say. */
export function spanText({ from, to, steps, leftOut, shares }: WhatIf, component: string | null): string {
  const missing = leftOut === 0 ? "" : ` (${leftOut} without a loss are left out)`;
  if (steps.length === 0 || from === null || to === null)
    return `No stored steps from which it could be computed${missing}.`;
  const its = component === null ? undefined : shares[component];
  const middle = its === undefined ? "" : `; median share ${shareText(its)}`;
  const span = from === to ? `step ${step(from)}` : `steps ${step(from)} to ${step(to)}`;
  return `Computed from ${span}${missing}${middle}.`;
}

export interface Paths {
  readonly before: string;
  readonly after: string;
  readonly low: number | null;
  readonly high: number | null;
}

/** Both lines on one scale, as SVG paths within the box. */
export function pathsOf({ steps, before, after }: WhatIf, width: number, height: number): Paths {
  const finite = [...before, ...after].filter(Number.isFinite);
  const low = finite.length === 0 ? null : finite.reduce((a, b) => Math.min(a, b));
  const high = finite.length === 0 ? null : finite.reduce((a, b) => Math.max(a, b));
  const [first, last] = [steps[0] ?? 0, steps.at(-1) ?? 0];
  const xOf = (at: number): number => (last === first ? 0.5 : (at - first) / (last - first)) * width;
  const yOf = (value: number): number =>
    low === null || high === null || high === low ? height / 2 : height - ((value - low) / (high - low)) * height;
  const path = (values: readonly number[]): string => {
    let said = "";
    let isBroken = true;
    values.forEach((value, i) => {
      if (Number.isFinite(value))
        said += `${isBroken ? "M" : "L"}${xOf(steps[i] ?? 0).toFixed(1)} ${yOf(value).toFixed(1)}`;
      isBroken = !Number.isFinite(value);
    });
    return said;
  };
  return { before: path(before), after: path(after), low, high };
}
