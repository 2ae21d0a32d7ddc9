/** Who moved the total, as the server says it. */
import { fields, fieldsOrNull, integerOrNull, list, numberOr, numberOrNull, text } from "./decode";

export interface BlamePart {
  readonly component: string;
  readonly cause: string;
  readonly delta: number;
  readonly percent: number;
}

export interface Blame {
  readonly fromStep: number | null;
  readonly toStep: number | null;
  readonly deltaTotal: number | null;
  readonly parts: readonly BlamePart[];
  readonly text: string;
}

export function blameOf(value: unknown): Blame | null {
  const f = fieldsOrNull(value);
  if (f === null) return null;
  const parts = list(f["parts"]).map((part) => {
    const p = fields(part);
    return {
      component: text(p["component"]),
      cause: text(p["cause"]),
      delta: numberOr(p["delta"], NaN),
      percent: numberOr(p["percent"], NaN),
    };
  });
  return {
    fromStep: integerOrNull(f["from_step"]),
    toStep: integerOrNull(f["to_step"]),
    deltaTotal: numberOrNull(f["delta_total"]),
    parts,
    text: text(f["text"]),
  };
}
