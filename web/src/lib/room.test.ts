import { describe, expect, it } from "vitest";
import { type Range, windowOf } from "./fold";
import { roomyWindow, shownSteps } from "./room";

const ALL: Range = { kind: "all" };

describe("room for the steps to come", () => {
  it("holds every step, and seldom moves", () => {
    const ends = new Set<number>();
    for (let last = 768; last < 1536; last += 1) {
      const window = roomyWindow(ALL, [0, last], true);
      expect(window?.from).toBe(0);
      expect(window?.to).toBeGreaterThanOrEqual(last);
      expect((window?.to ?? Infinity) - last).toBeLessThan(last / 12);
      ends.add(window?.to ?? NaN);
    }
    expect(ends.size).toBe(13);
  });

  it("keeps the width of the last steps", () => {
    const range: Range = { kind: "last", steps: 200 };
    for (const last of [1000, 1003, 1007]) {
      const window = roomyWindow(range, [0, last], true);
      expect((window?.to ?? 0) - (window?.from ?? 0)).toBe(199);
      expect(window?.to).toBeGreaterThanOrEqual(last);
    }
    expect(roomyWindow(range, [0, 1001], true)).toEqual(roomyWindow(range, [0, 1008], true));
    expect(roomyWindow(range, [30, 90], true)).toEqual({ from: 30, to: 92 });
  });

  it("leaves alone what has an end: a run that is over, a window that was chosen, no run", () => {
    const fixed: Range = { kind: "fixed", from: 5, to: 905 };
    expect(roomyWindow(ALL, [0, 901], false)).toEqual(windowOf(ALL, [0, 901]));
    expect(roomyWindow(fixed, [0, 901], true)).toEqual(windowOf(fixed, [0, 901]));
    expect(roomyWindow(ALL, null, true)).toBeNull();
  });

  it("is not said to be steps", () => {
    const range: Range = { kind: "last", steps: 200 };
    expect(shownSteps(range, [0, 1001], true)).toEqual({ from: 809, to: 1001 });
    expect(shownSteps(range, [0, 1001], false)).toEqual(windowOf(range, [0, 1001]));
    expect(shownSteps({ kind: "fixed", from: 5, to: 2000 }, [0, 1001], true)).toEqual({ from: 5, to: 2000 });
    expect(shownSteps(ALL, null, true)).toBeNull();
  });

  it("has some width at the first step", () => {
    expect(roomyWindow(ALL, [7, 7], true)).toEqual({ from: 7, to: 8 });
  });
});
