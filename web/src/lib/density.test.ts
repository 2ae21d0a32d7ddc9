import { expect, it } from "vitest";
import { densityOf, densityText } from "./density";
import { SeriesBuffer } from "./series";

function buffer(entries: number, count: number): SeriesBuffer {
  const made = new SeriesBuffer();
  for (let i = 0; i < entries; i += 1)
    made.put(i * count, { low: 0, high: 1, mean: 0.5, count, last: 1, flags: 0 });
  return made;
}

it("nothing is said where every point has its place", () => {
  expect(densityText(densityOf(buffer(100, 1), { from: 0, to: 99 }, 800))).toBe("");
  expect(densityText(densityOf(undefined, { from: 0, to: 99 }, 800))).toBe("");
});

it("it says how many points stand for one, be it for want of pixels or of detail", () => {
  expect(densityText(densityOf(buffer(8000, 1), { from: 0, to: 7999 }, 200))).toBe("1 of 40 points, extremes kept");
  expect(densityText(densityOf(buffer(1500, 667), { from: 0, to: 1500 * 667 - 1 }, 1500))).toBe(
    "1 of 667 points, extremes kept",
  );
  const zoomed = densityOf(buffer(1500, 667), { from: 0, to: 2000 }, 900);
  expect([densityText(zoomed), zoomed?.isDetailed]).toEqual(["1 of 667 points, extremes kept", false]);
  expect(densityText(densityOf(buffer(300, 1), { from: 0, to: 299 }, 200))).toBe("1 of 1.5 points, extremes kept");
});
