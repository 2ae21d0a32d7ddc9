import { describe, expect, it } from "vitest";
import { commandOf } from "./models";
import { SeriesBuffer } from "./series";
import { sinceText } from "./since";

const applied = (more: Record<string, unknown> = {}): ReturnType<typeof commandOf> =>
  commandOf({ id: "c", kind: "set_weight", state: "applied", step: 3, ...more });
const totals = (...values: number[]): SeriesBuffer => {
  const buffer = new SeriesBuffer();
  values.forEach((value, step) => buffer.append(step, value));
  return buffer;
};

describe("what the total did since a command", () => {
  it("is the last value before it and the newest", () => {
    expect(sinceText(applied(), totals(2, 2, 9.2, 2.5, 2.31))).toBe("Since step 3: total 9.2 → 2.31");
    expect(sinceText(applied(), totals(2, 2, NaN, 2.5))).toBe("Since step 3: total NaN → 2.5");
  });

  it("is left out where the points do not say it", () => {
    expect(sinceText(applied(), undefined)).toBeNull();
    expect(sinceText(applied(), totals(2, 2, 9.2)), "nothing came since").toBeNull();
    expect(sinceText(applied({ step: 0 }), totals(2, 2)), "nothing is known before").toBeNull();
    expect(sinceText(applied({ state: "sent" }), totals(2, 2, 9, 2))).toBeNull();
    expect(sinceText(applied({ kind: "pause" }), totals(2, 2, 9, 2))).toBeNull();
  });

  it("takes no bucket that reaches over the command's step for what was before", () => {
    const buffer = new SeriesBuffer();
    const bucket = (step: number, last: number): void =>
      buffer.put(step, { low: last, high: last, mean: last, count: 2, last, flags: 0 });
    bucket(0, 9);
    bucket(2, 2);
    bucket(4, 3);
    expect(sinceText(applied(), buffer)).toBe("Since step 3: total 9 → 3");
    expect(sinceText(applied({ step: 4 }), buffer)).toBe("Since step 4: total 2 → 3");
  });
});
