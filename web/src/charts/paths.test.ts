import { describe, expect, it } from "vitest";
import type { Values } from "../lib/fold";
import { type Manner, type Pen, type Places, placesOf, traceArea, traceBars, traceLine } from "./paths";

const AS_IS: Places = { x: (step) => step, y: (value) => value };

function recorded(draw: (pen: Pen) => void): string {
  const told: string[] = [];
  draw({ moveTo: (x, y) => told.push(`M${x},${y}`), lineTo: (x, y) => told.push(`L${x},${y}`) });
  return told.join(" ");
}

function line(steps: readonly number[], values: Values, from = 0, to = values.length - 1): string {
  return recorded((pen) => traceLine(pen, { steps, values, from, to }, AS_IS));
}

function area(steps: readonly number[], values: Values, below: Values | null): string {
  return recorded((pen) => traceArea(pen, { steps, values, from: 0, to: values.length - 1 }, below, AS_IS));
}

describe("a line", () => {
  it("breaks at null and goes on over undefined", () => {
    expect(line([0, 1, 2, 3, 4, 5], [1, undefined, 2, null, 3, 4])).toBe("M0,1 L2,2 M4,3 L5,4");
  });

  it("keeps to the entries that are asked for", () => {
    expect(line([0, 1, 2, 3], [1, 2, 3, 4], 1, 2)).toBe("M1,2 L2,3");
  });

  it("leaves out what falls upon the pixel before it, and nothing else", () => {
    expect(line([0, 0, 1, 1], [1, 1, 1, 2])).toBe("M0,1 L1,1 L1,2");
  });
});

describe("a line that is drawn in another manner", () => {
  const drawn = (values: Values, manner: Manner, from = 0): string => {
    const course = { steps: values.map((_, i) => i), values, from, to: values.length - 1 };
    return recorded((pen) => traceLine(pen, course, AS_IS, manner));
  };

  it("holds a value until the next one", () => {
    expect(drawn([1, 1, 3, undefined, 4], { isStepped: true })).toBe("M0,1 L1,1 L2,1 L2,3 L4,3 L4,4");
  });

  it("begins anew in every stretch, wherever it is begun", () => {
    const [whole, tip] = [drawn([1, 2, 3, 4, 5, 6], { stretchPx: 3 }), drawn([1, 2, 3, 4, 5, 6], { stretchPx: 3 }, 1)];
    expect(whole).toBe("M0,1 L1,2 L2,3 L3,4 M3,4 L4,5 L5,6");
    expect(whole.endsWith(tip.slice(tip.indexOf("M3")))).toBe(true);
    expect(drawn([1, 2, undefined, undefined, undefined, 6], { stretchPx: 4 })).toBe("M0,1 L1,2 M1,2 L5,6 M5,6");
  });
});

describe("an area", () => {
  it("lies between its values and those below", () => {
    expect(area([0, 1, 2], [3, 4, 5], [1, 1, 2])).toBe("M0,1 L0,3 L1,4 L2,5 L2,2 L1,1");
  });

  it("lies upon 0 where there is nothing below", () => {
    expect(area([0, 1], [3, 4], null)).toBe("M0,0 L0,3 L1,4 L1,0");
  });

  it("breaks at null", () => {
    expect(area([0, 1, 2, 3, 4], [3, 4, null, 5, 6], null)).toBe("M0,0 L0,3 L1,4 L1,0 M3,0 L3,5 L4,6 L4,0");
  });
});

describe("the bars of columns", () => {
  const bars = (values: Values): number[][] => {
    const steps = values.map((_, i) => i - (i % 2));
    const down: Places = { x: (step) => step, y: (value) => 100 - value };
    const found: number[][] = [];
    traceBars((...bar) => found.push(bar), { steps, values }, down, 200, 1);
    return found;
  };

  it("reach from the high to the low, in whichever order they come", () => {
    expect(bars([1, 5, 6, 2])).toEqual([
      [0, 95, 2, 4],
      [2, 94, 1, 4],
    ]);
  });

  it("leave out what is not there and what is not finite, and are seen where low and high are one", () => {
    expect(bars([3, 3, undefined, undefined, null, null])).toEqual([[0, 97, 2, 1]]);
  });

  it("reach down to the bottom where the low has no place on the axis", () => {
    expect(bars([null, 5, 6, null])).toEqual([
      [0, 95, 2, 105],
      [2, 94, 1, 106],
    ]);
  });

  it("are no wider than a column is, before a gap", () => {
    const found: number[][] = [];
    const course = { steps: [0, 0, 90, 90], values: [1, 2, 1, 2] };
    traceBars((...bar) => found.push(bar), course, AS_IS, 0, 1);
    expect(found.map(([, , width]) => width)).toEqual([4, 1]);
  });
});

describe("the places of a plot", () => {
  const box = { left: 10, top: 20, width: 100, height: 50 };
  const plot = { box, x: [0, 10], y: [1, 100], threshold: 1 } as const;

  it("are whole pixels within its box", () => {
    const { x, y } = placesOf({ ...plot, scale: "linear" });
    expect([x(0), x(10), x(0.33)]).toEqual([10, 110, 13]);
    expect([y(1), y(100)]).toEqual([70, 20]);
  });

  it("follow the scale", () => {
    expect(placesOf({ ...plot, scale: "log" }).y(10)).toBe(45);
    expect(placesOf({ ...plot, y: [-100, 100], scale: "symlog" }).y(0)).toBe(45);
  });
});
