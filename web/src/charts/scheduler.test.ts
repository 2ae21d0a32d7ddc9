// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RedrawLoop } from "./scheduler";

/** Of each drawing whether it might leave out all but the tip. */
let drawn: boolean[];
let loop: RedrawLoop;
/** whether a drawing of a tip is enough for the chart */
let canTip: boolean;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal(
    "IntersectionObserver",
    class {
      observe(): void {}
      unobserve(): void {}
    },
  );
  vi.stubGlobal("requestAnimationFrame", (draw: (nowMs: number) => void) =>
    setTimeout(() => draw(performance.now()), 16),
  );
  drawn = [];
  canTip = true;
  loop = new RedrawLoop();
  loop.add(document.createElement("div"), (isTip) => {
    drawn.push(isTip);
    return !(isTip && canTip);
  });
  vi.advanceTimersByTime(1000);
  drawn.length = 0;
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function pointsFor(ms: number): void {
  for (let at = 0; at < ms; at += 20) {
    loop.invalidate("soon");
    vi.advanceTimersByTime(20);
  }
}

describe("the loop of redraws", () => {
  it("draws a dozen times a second while points come, all of it every two seconds", () => {
    pointsFor(6000);
    expect(drawn.length).toBeGreaterThanOrEqual(6 * 9);
    expect(drawn.length).toBeLessThanOrEqual(6 * 13);
    expect(drawn.filter((isTip) => !isTip).length).toBe(3);
  });

  it("draws when points come, where it would else do so just before them", () => {
    for (let at = 0; at < 1000; at += 50) {
      const count = drawn.length;
      vi.advanceTimersByTime(34);
      expect(drawn.length, `${at} ms, between two messages`).toBe(count);
      loop.invalidate("soon");
      vi.advanceTimersByTime(16);
    }
    expect(drawn.length).toBe(10);
  });

  it("rests also where points come while it draws", () => {
    const redraw = vi.fn(() => {
      loop.invalidate("soon");
      return true;
    });
    loop.add(document.createElement("p"), redraw);
    vi.advanceTimersByTime(1000);
    expect(redraw.mock.calls.length).toBeLessThanOrEqual(1 + 1000 / 80);
  });

  it("draws at the latest soon after it may, when nothing else comes", () => {
    pointsFor(40);
    drawn.length = 0;
    vi.advanceTimersByTime(160);
    expect(drawn.length).toBe(1);
  });

  it("draws all of it once after the last points, and then rests", () => {
    pointsFor(400);
    vi.advanceTimersByTime(200);
    expect(drawn.at(-1)).toBe(true);
    const count = drawn.length;
    vi.advanceTimersByTime(2500);
    expect(drawn.slice(count)).toEqual([false]);
    vi.advanceTimersByTime(5000);
    expect(drawn.length).toBe(count + 1);
  });

  it("draws all of it at once when something else has changed", () => {
    pointsFor(100);
    drawn.length = 0;
    loop.invalidate("now");
    vi.advanceTimersByTime(20);
    expect(drawn).toEqual([false]);
  });

  it("asks no more of a chart that drew all of it though a tip would have done", () => {
    canTip = false;
    pointsFor(60);
    vi.advanceTimersByTime(100);
    const count = drawn.length;
    vi.advanceTimersByTime(1000);
    expect(drawn.length).toBe(count);
  });
});
