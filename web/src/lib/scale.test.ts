import { describe, expect, it } from "vitest";
import { fromSymlog, symlogRange, symlogTicks, thresholdOf, toSymlog } from "./scale";

describe("the threshold of symlog", () => {
  it("is a power of ten near the small end of the data, of either sign", () => {
    expect(thresholdOf([[0, -0.02, 0.5, null, undefined, 40, -3000]])).toBe(0.01);
  });

  it("does not open decades for a few values next to nothing", () => {
    expect(thresholdOf([[1e-300, 1e3, 1e3, 1e3]])).toBeCloseTo(1e-3, 12);
  });

  it("is 1 where all is 0 or not finite", () => {
    expect(thresholdOf([[0, NaN, Infinity, null]])).toBe(1);
  });
});

describe("symlog", () => {
  it("goes there and back for both signs and zero", () => {
    for (const value of [-1e6, -0.01, 0, 1e-9, 3e5]) expect(fromSymlog(toSymlog(value, 0.01), 0.01)).toBeCloseTo(value, 6);
  });

  it("has ticks of both signs and zero, ascending and not too many", () => {
    const ticks = symlogTicks(-2000, 30_000, 0.01, 8);
    expect(ticks).toContain(0);
    expect(ticks.some((tick) => tick < 0)).toBe(true);
    expect(ticks.some((tick) => tick > 100)).toBe(true);
    expect([...ticks].sort((a, b) => a - b)).toEqual(ticks);
    expect(ticks.length).toBeLessThanOrEqual(11);
  });

  it("is linear where all lies within the threshold, and keeps a side that has no values away", () => {
    expect(symlogTicks(0, 0.5, 1, 5)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5]);
    expect(symlogTicks(5, 5, 1, 5)).toEqual([]);
    expect(symlogRange(0, 100, 1)[0]).toBe(0);
    expect(symlogRange(-5, 100, 1)[0]).toBeLessThan(-5);
    expect(symlogRange(null, null, 1)).toEqual([-1, 1]);
  });
});
