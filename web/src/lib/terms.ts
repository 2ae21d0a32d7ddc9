/**
 * How long a change takes and for how long it holds: the optional fields beside a control.
 *
 * Rules of this file: pure; an empty field is "at once" and "until it is changed again"; bounds as docs/protocol.md.
 */
import type { Fields } from "./decode";
import { step } from "./format";
import { isAsking, typedNumber } from "./typed";

export const MOST_STEPS = 1_000_000_000;

export type Steps =
  { readonly steps: number | null; readonly fault: null } | { readonly steps: null; readonly fault: string };

/** What a person typed as a number of steps; null where nothing stands. */
export function stepsOf(typed: string): Steps {
  if (typed.trim() === "") return { steps: null, fault: null };
  const { value, fault } = typedNumber(typed);
  if (value === null && isAsking(fault)) return { steps: null, fault };
  const steps = value !== null && /^[\d\s,]+$/.test(typed) && Number.isInteger(value) ? value : 0;
  if (steps >= 1 && steps <= MOST_STEPS) return { steps, fault: null };
  return { steps: null, fault: "a whole number of steps, from 1; or nothing" };
}

/** The arguments that these terms are on the wire. */
export function termArgs(ramp: number | null, lease: number | null): Fields {
  return {
    ...(ramp === null ? {} : { ramp_steps: ramp }),
    ...(lease === null ? {} : { lease_steps: lease }),
  };
}

/** ", in 200 steps", and how it ends: ", for 500 steps (to about step 1 300), then back by itself". */
export function termsText(args: Fields, now: number | null): string {
  const ramp = args["ramp_steps"];
  const over = typeof ramp === "number" ? `, evenly over ${step(ramp)} steps` : "";
  return `${over}${leaseText(args, now, "then it ends by itself")}`;
}

export function leaseText(args: Fields, now: number | null, then: string): string {
  const lease = args["lease_steps"];
  if (typeof lease !== "number") return "";
  const until = now === null ? "" : `, to about step ${step(now + lease)}`;
  return `, for ${step(lease)} steps${until}; ${then}`;
}

/** The arguments alone, where the terms are said elsewhere. */
export function withoutTerms(args: Fields): Fields {
  return Object.fromEntries(Object.entries(args).filter(([name]) => name !== "ramp_steps" && name !== "lease_steps"));
}
