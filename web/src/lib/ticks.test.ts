import { expect, it } from "vitest";
import { logTicks } from "./ticks";

it.each([
  [0.8, 2.4, 5],
  [1.1, 1.9, 4],
  [1e-6, 1e3, 5],
  [40, 110, 4],
  [1e-12, 1e25, 6],
])("an axis from %f to %f has two to %i ticks, all within", (low, high, most) => {
  const ticks = logTicks(low, high, most);
  expect(ticks.length).toBeGreaterThanOrEqual(2);
  expect(ticks.length).toBeLessThanOrEqual(most + 1);
  expect(ticks.every((tick) => tick >= low && tick <= high)).toBe(true);
});

it("an axis without an interval has none", () => {
  expect(logTicks(0, 1, 5)).toEqual([]);
  expect(logTicks(1, 1, 5)).toEqual([]);
});
