/**
 * What a trainer tells of a change: a number, a word, or several of them by name.
 *
 * Rules of this file: pure; each kind of command tells `old` and `new` in a form of its own, so all forms are read here
 * and none is thrown away.
 */
import { fieldsOrNull, numberOrNull } from "./decode";
import { ABSENT, short, words } from "./format";

/** What a command's `old` and `new` may be. */
export type Told = number | boolean | string | Readonly<Record<string, unknown>> | null;

export function toldOf(value: unknown): Told {
  const number = numberOrNull(value);
  if (number !== null) return number;
  if (typeof value === "boolean" || typeof value === "string") return value;
  return fieldsOrNull(value);
}

export function toldText(told: Told): string {
  if (told === null) return ABSENT;
  if (typeof told === "number") return short(told);
  if (typeof told === "string") return told;
  if (typeof told === "boolean") return told ? "yes" : "no";
  return Object.entries(told)
    .map(([name, value]) => `${words(name)} ${toldText(toldOf(value))}`)
    .join(", ");
}

/** From what to what; of several by name, those that moved. */
export function movedText(old: Told, now: Told): string {
  if (old === null) return toldText(now);
  if (typeof old !== "object" || now === null || typeof now !== "object") return `${toldText(old)} → ${toldText(now)}`;
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  const moved = names.flatMap((name) => {
    const [from, to] = [toldText(toldOf(old[name])), toldText(toldOf(now[name]))];
    return from === to ? [] : [`${words(name)} ${from} → ${to}`];
  });
  return moved.length === 0 ? "nothing changed" : moved.join(", ");
}
