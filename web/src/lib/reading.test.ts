import { describe, expect, it } from "vitest";
import { columnAt, newestOf, readingAt, readingText } from "./reading";
import { SeriesBuffer } from "./series";

function series(values: readonly number[]): SeriesBuffer {
  const buffer = new SeriesBuffer();
  values.forEach((value, step) => buffer.append(step, value));
  return buffer;
}

describe("the column at the cross-hair", () => {
  it("is the step itself where every step has its pixels", () => {
    expect(columnAt({ from: 0, to: 99 }, 1000, 41.4)).toEqual({ from: 41, to: 41 });
  });

  it("holds all steps that are drawn at that place, each in one column only", () => {
    const window = { from: 10, to: 1009 };
    const columns = Array.from({ length: 1000 }, (_, i) => columnAt(window, 600, 10 + i));
    columns.forEach(({ from, to }, i) => {
      expect(from).toBeLessThanOrEqual(10 + i);
      expect(to).toBeGreaterThanOrEqual(10 + i);
    });
    expect(new Set(columns.map(({ from }) => from)).size).toBe(300);
  });
});

describe("a reading", () => {
  const buffer = series([1, 5, NaN, Infinity, 2]);

  it("is a value at a step and the ends over several, with what is not finite in words", () => {
    expect(readingText(readingAt(buffer, 1, 1))).toBe("5.000");
    expect(readingText(readingAt(buffer, 2, 2))).toBe("NaN");
    expect(readingText(readingAt(buffer, 0, 4))).toBe("1 … 5 NaN +Inf");
  });

  it("is the value in force where the column holds none, a dash before the first and within a gap", () => {
    expect(readingText(readingAt(buffer, 9, 9))).toBe("2.000");
    expect(readingText(readingAt(buffer, 9, 9, [{ from: 5, to: 20, steps: 16, reason: "" }]))).toBe("–");
    expect(readingText(readingAt(buffer, -3, -1))).toBe("–");
    expect(readingAt(undefined, 0, 1)).toBeNull();
  });

  it("of the newest is the newest", () => {
    expect(readingText(newestOf(buffer))).toBe("2.000");
    expect(readingText(newestOf(series([-Infinity])))).toBe("−Inf");
    expect(newestOf(series([]))).toBeNull();
  });
});
