/**
 * The sums behind a weight's slider: positions on a log scale, and what the total would be.
 *
 * Rules of this file: a preview is computed from the components of the newest step and claims nothing about later ones;
 * a share with a non-finite contribution in it is null, never a number.
 */
import type { Fields } from "./decode";
import { numberOrNull, text } from "./decode";
import type { Component } from "./models";
import { share, short } from "./format";
import { termsText } from "./terms";
import { typedNumber } from "./typed";

export const POSITIONS = 1000;

/** Six decades: from a weight that dominates (0.01 on a raw loss of 700) to one that whispers is less than four. */
const DECADES = 6;

export interface Scale {
  readonly low: number;
  readonly high: number;
  /** the smallest weight above 0 on the slider; position 0 is `low` itself (0, as a rule) */
  readonly floor: number;
}

/** The slider of a component: its bounds, or, without an upper bound, ten times what it weighs. */
export function scaleOf(component: Component): Scale {
  const now = Math.max(Math.abs(component.weight ?? 0), Math.abs(component.scheduledWeight ?? 0));
  const high = Number.isFinite(component.high) ? component.high : Math.max(1, now * 10);
  const low = Number.isFinite(component.low) ? component.low : 0;
  return { low, high, floor: low > 0 ? low : high * 10 ** -DECADES };
}

/** Whether a log scale makes sense: not with negative weights, nor with bounds that leave no room. */
function isLog(scale: Scale): boolean {
  return scale.low >= 0 && scale.high > scale.floor && scale.floor > 0;
}

/** The weight at a position of 0 to POSITIONS, at three digits; the ends are the bounds, exactly. */
export function weightAt(position: number, scale: Scale): number {
  if (position <= 0) return scale.low;
  if (position >= POSITIONS) return scale.high;
  const part = position / POSITIONS;
  const exact = isLog(scale)
    ? scale.floor * (scale.high / scale.floor) ** part
    : scale.low + part * (scale.high - scale.low);
  return Math.min(scale.high, Math.max(scale.low, Number(exact.toPrecision(3))));
}

export function positionOf(weight: number | null, scale: Scale): number {
  if (weight === null || !(weight > scale.low)) return 0;
  if (weight >= scale.high) return POSITIONS;
  const part = isLog(scale)
    ? Math.log(Math.max(weight, scale.floor) / scale.floor) / Math.log(scale.high / scale.floor)
    : (weight - scale.low) / (scale.high - scale.low);
  // 1, not 0: position 0 means exactly the lower bound.
  return Math.min(POSITIONS - 1, Math.max(1, Math.round(part * POSITIONS)));
}

export type Entry =
  { readonly weight: number; readonly fault: null } | { readonly weight: null; readonly fault: string };

/** What a person typed as a weight: a number within the bounds, or why not. */
export function weightOf(typed: string, scale: Scale): Entry {
  const { value: weight, fault } = typedNumber(typed);
  if (weight === null) return { weight: null, fault };
  if (weight < scale.low || weight > scale.high)
    return { weight: null, fault: `allowed: ${short(scale.low)} to ${short(scale.high)}` };
  return { weight, fault: null };
}

export interface Preview {
  readonly contribution: number | null;
  readonly share: number | null;
  readonly total: number | null;
}

/** What the newest step would have been with `weight` for the component `name`; null where a raw value is missing. */
export function preview(components: readonly Component[], name: string, weight: number): Preview {
  let contribution: number | null = null;
  let total: number | null = 0;
  let size = 0;
  for (const component of components) {
    const its = component.name === name ? product(weight, component.raw) : component.contribution;
    if (component.name === name) contribution = its;
    // A component that is off may have no value; any other missing one makes the total unknown.
    if (its === null) total = component.weight === 0 ? total : null;
    else if (total !== null) total += its;
    size += Math.abs(its ?? 0);
  }
  return { contribution, total, share: Number.isFinite(size) ? shareOf(contribution, size) : null };
}

function product(weight: number, raw: number | null): number | null {
  return raw === null ? null : weight * raw;
}

function shareOf(contribution: number | null, size: number): number | null {
  if (contribution === null) return null;
  return size === 0 ? 0 : Math.abs(contribution) / size;
}

export interface Promised {
  /** what pressing does */
  readonly action: string;
  /** what follows from it, by the newest step; empty when that is not known */
  readonly effect: string;
}

/** What pressing a set_weight will do, said before it is pressed. */
export function setWeightText(components: readonly Component[], args: Fields): Promised {
  const name = text(args["component"]);
  const weight = numberOrNull(args["value"]);
  const component = components.find((c) => c.name === name);
  const terms = termsText(args, null);
  const when = terms === "" ? " at the next step" : ` from the next step on${terms}`;
  if (component === undefined || weight === null)
    return { action: `Set ${name} weight to ${short(weight)}${when}`, effect: "" };
  const action = `Set ${name} weight ${short(component.weight)} → ${short(weight)}${when}`;
  const then = preview(components, name, weight);
  if (then.contribution === null) return { action, effect: "" };
  const contribution = `contribution ${short(component.contribution, 2)} → ${short(then.contribution, 2)}`;
  return { action, effect: `${contribution}, share ${share(component.share)} → ${share(then.share)}` };
}

/** Whether its loss, or what it adds, is not finite. */
export function isUnsound({ raw, contribution, weight }: Component): boolean {
  return [raw, contribution, weight].some((value) => value !== null && !Number.isFinite(value));
}

/** "raw 583.6 × 0.03 = 17.51, "; of what is not finite that no weight mends it; empty where nothing is known. */
export function factsText(component: Component): string {
  const { raw, weight, contribution } = component;
  if (raw === null) return "";
  if (!Number.isFinite(raw)) return `raw ${short(raw)}: no weight mends that, a gate leaves it out; `;
  return `raw ${short(raw)} × ${short(weight)} = ${short(contribution)}; `;
}

/** Where it may be moved, at which end it is, and what the schedule says otherwise. */
export function boundsText(component: Component, scale: Scale, isGated: boolean): string {
  const { weight, scheduledWeight } = component;
  const allowed = Number.isFinite(component.high)
    ? `allowed ${short(scale.low)} to ${short(scale.high)}`
    : `allowed from ${short(scale.low)}`;
  if (isGated) return `gated off; ${allowed}`;
  const isHeld = scheduledWeight !== null && weight !== null && scheduledWeight !== weight;
  return `${allowed}${endText(weight, scale, component)}${isHeld ? `; the schedule says ${short(scheduledWeight)}` : ""}`;
}

function endText(weight: number | null, { low, high }: Scale, component: Component): string {
  if (weight === null) return "";
  if (weight > high || weight < low) return ", and is outside";
  if (weight === high && Number.isFinite(component.high)) return ", at its upper end";
  return weight === low && low !== 0 ? ", at its lower end" : "";
}
