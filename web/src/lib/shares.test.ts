import { describe, expect, it } from "vitest";
import { fold } from "./fold";
import { SeriesBuffer } from "./series";
import { shareHeap, sharesOf } from "./shares";

function series(values: readonly number[]): SeriesBuffer {
  const buffer = new SeriesBuffer();
  values.forEach((value, step) => buffer.append(step, value));
  return buffer;
}

function heap(parts: readonly (readonly number[])[], isShown = parts.map(() => true)): ReturnType<typeof shareHeap> {
  const buffers = parts.map(series);
  const total = series((parts[0] ?? []).map((_, i) => parts.reduce((sum, part) => sum + (part[i] ?? 0), 0)));
  return shareHeap(fold([total, ...buffers], { from: 0, to: total.length - 1 }, 100), buffers, isShown);
}

describe("shares of the total", () => {
  it("add up to 100 %", () => {
    expect(heap([[1, 2], [3, 2]]).ys).toEqual([
      [0.25, 0.5],
      [1, 1],
    ]);
  });

  it("are of the sum of magnitudes, and what is negative hangs below 0", () => {
    const { ys, upwards } = heap([[3], [-1], [4]]);
    expect(upwards).toBe(3);
    expect(ys).toEqual([[0.375], [0.375], [0.875], [0], [-0.125], [-0.125]]);
  });

  it("are of all parts, also those that are hidden", () => {
    const { ys, upwards } = heap([[1], [1], [2]], [true, false, true]);
    expect([ys, upwards]).toEqual([[[0.25], [0.75]], 2]);
  });

  it("break where one is not finite, and mark it", () => {
    const { ys, nonFinite } = heap([[1, NaN, 1], [1, 1, 1]]);
    expect(ys.map((one) => one[1])).toEqual([null, null]);
    expect(nonFinite.map(({ step, series: at }) => [step, at])).toEqual([[1, 0]]);
  });

  it("are not known where all is 0 or nothing came", () => {
    expect(sharesOf([0, 0])).toBeNull();
  });
});
