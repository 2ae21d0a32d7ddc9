/**
 * A number that a person types, within bounds.
 *
 * Rules of this file: pure; the trainer checks again and has the last word.
 */
import { short } from "./format";

export type Value = { readonly value: number; readonly fault: null } | { readonly value: null; readonly fault: string };

export function valueOf(typed: string, [low, high]: readonly [number, number]): Value {
  const said = typed.trim().replace(",", ".");
  const value = said === "" ? NaN : Number(said);
  if (!Number.isFinite(value)) return { value: null, fault: "not a number" };
  if (value < low || value > high) return { value: null, fault: `allowed: ${short(low)} to ${short(high)}` };
  return { value, fault: null };
}
