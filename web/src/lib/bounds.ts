/**
 * A number that a person types, within bounds.
 *
 * Rules of this file: pure; the trainer checks again and has the last word.
 */
import { short } from "./format";
import { type Typed, typedNumber } from "./typed";

export function valueOf(typed: string, [low, high]: readonly [number, number]): Typed {
  const entry = typedNumber(typed);
  if (entry.value === null) return entry;
  const { value } = entry;
  if (value < low || value > high) return { value: null, fault: `allowed: ${short(low)} to ${short(high)}` };
  return { value, fault: null };
}
