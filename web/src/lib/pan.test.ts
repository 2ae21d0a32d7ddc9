import { describe, expect, it } from "vitest";
import { around, centredAt, panned, widened } from "./pan";

const RUN = [0, 1000] as const;
const fixed = (from: number, to: number): object => ({ kind: "fixed", from, to });

describe("a window", () => {
  it("moves by a part of itself and stops at the ends with its width kept", () => {
    expect(panned({ from: 400, to: 500 }, RUN, 0.25)).toEqual(fixed(425, 525));
    expect(panned({ from: 400, to: 500 }, RUN, -1)).toEqual(fixed(300, 400));
    expect(panned({ from: 20, to: 120 }, RUN, -1)).toEqual(fixed(0, 100));
    expect(panned({ from: 880, to: 980 }, RUN, 1)).toEqual(fixed(900, 1000));
  });

  it("moves by a step at least", () => {
    expect(panned({ from: 400, to: 404 }, RUN, 0.1)).toEqual(fixed(401, 405));
  });

  it("of the whole run stays the whole run", () => {
    expect(panned({ from: 0, to: 1000 }, RUN, -1)).toEqual({ kind: "all" });
  });

  it("narrows about a step and widens to all", () => {
    expect(widened({ from: 0, to: 1000 }, RUN, 0.5, 900)).toEqual(fixed(450, 950));
    expect(widened({ from: 400, to: 600 }, RUN, 0.5)).toEqual(fixed(450, 550));
    expect(widened({ from: 400, to: 600 }, RUN, 0.5, 20)).toEqual(fixed(450, 550));
    expect(widened({ from: 100, to: 900 }, RUN, 2)).toEqual({ kind: "all" });
    expect(widened({ from: 500, to: 504 }, RUN, 0.5)).toEqual(fixed(500, 504));
  });

  it("goes where the map is pressed, and around a mark", () => {
    expect(centredAt({ from: 0, to: 100 }, RUN, 500)).toEqual(fixed(450, 550));
    expect(centredAt({ from: 0, to: 100 }, RUN, 990)).toEqual(fixed(900, 1000));
    expect(around(500, RUN)).toEqual(fixed(450, 550));
    expect(around(10, RUN)).toEqual(fixed(0, 60));
  });
});
