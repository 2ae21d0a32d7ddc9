import { describe, expect, it } from "vitest";
import type { Component } from "./models";
import {
  POSITIONS,
  boundsText,
  factsText,
  isUnsound,
  positionOf,
  preview,
  scaleOf,
  setWeightText,
  weightAt,
  weightOf,
} from "./weights";

const component = (name: string, raw: number | null, weight: number, high = 0.1): Component => {
  const contribution = raw === null ? null : raw * weight;
  return { name, raw, weight, scheduledWeight: weight, contribution, share: null, low: 0, high };
};
const INCIDENT = [
  component("ce", 2, 1),
  component("spectrum", 1, 0.2),
  { ...component("precursor", 700, 0.01), share: 0.76 },
];

describe("the slider", () => {
  const scale = scaleOf(component("precursor", 700, 0.01));

  it("ends at the bounds, exactly, and 0 is one of them", () => {
    expect([weightAt(0, scale), weightAt(POSITIONS, scale)]).toEqual([0, 0.1]);
    expect([positionOf(0, scale), positionOf(0.1, scale), positionOf(null, scale)]).toEqual([0, POSITIONS, 0]);
  });

  it("is logarithmic: a decade is everywhere as long", () => {
    const places = [1e-5, 1e-4, 1e-3, 1e-2].map((weight) => positionOf(weight, scale));
    const lengths = places.slice(1).map((place, i) => place - (places[i] ?? 0));
    for (const length of lengths) expect(length).toBeCloseTo(POSITIONS / 6, -1);
  });

  it("comes back to the weight it was put at", () => {
    for (const position of [1, 137, 500, 999])
      expect(positionOf(weightAt(position, scale), scale)).toBeCloseTo(position, -1);
  });

  it("never shows a weight above 0 as 0", () => {
    expect(positionOf(1e-12, scale)).toBe(1);
  });

  it("without an upper bound reaches ten times the weight", () => {
    expect(scaleOf(component("ce", 1, 2, Infinity)).high).toBe(20);
  });

  it("with negative weights is even", () => {
    const even = { low: -1, high: 1, floor: -1 };
    expect(weightAt(500, even)).toBe(0);
    expect(positionOf(0, even)).toBe(500);
  });
});

describe("a typed weight", () => {
  const scale = scaleOf(component("precursor", 700, 0.01));
  it("is taken within its bounds", () => {
    expect(weightOf(" 1.6e-5 ", scale).weight).toBe(1.6e-5);
    expect(weightOf("0,05", scale).weight).toBe(0.05);
  });
  it.each(["", "abc", "NaN", "Infinity", "7", "-0.1"])("is refused: %s", (typed) => {
    expect(weightOf(typed, scale).fault).not.toBeNull();
  });
});

describe("the preview", () => {
  it("says contribution, share and total of the newest step with another weight", () => {
    const then = preview(INCIDENT, "precursor", 1.6e-5);
    expect(then.contribution).toBeCloseTo(0.0112);
    expect(then.total).toBeCloseTo(2.2112);
    expect(then.share).toBeCloseTo(0.0112 / 2.2112);
  });

  it("has no share while a contribution is not finite, and a total that says so", () => {
    const then = preview([component("ce", NaN, 1), component("aux", 1, 1)], "aux", 2);
    expect(then).toEqual({ contribution: 2, share: null, total: NaN });
  });

  it("is unknown where a raw value is missing", () => {
    expect(preview([component("ce", null, 1)], "ce", 2)).toMatchObject({
      contribution: null,
      total: null,
      share: null,
    });
  });

  it("leaves out a component that is off", () => {
    expect(preview([component("ce", 2, 1), component("aux", null, 0)], "ce", 1).total).toBe(2);
  });
});

it("the remedy says what it will do before it is pressed", () => {
  const said = setWeightText(INCIDENT, { component: "precursor", value: 1.6e-5 });
  expect(said.action).toBe("Set precursor weight 0.01 → 1.6e-5 at the next step");
  expect(said.effect).toBe("contribution 7 → 0.011, share 76 % → 0.5 %");
});

it("a remedy for an unknown component still says what it sets", () => {
  expect(setWeightText([], { component: "x", value: 0 })).toEqual({
    action: "Set x weight to 0 at the next step",
    effect: "",
  });
});

describe("what is said of a weight at rest", () => {
  const its = (more: object = {}): Component => ({ ...component("precursor", 700, 0.01), ...more });
  const bounds = (more: object = {}): string => {
    const one = its(more);
    return boundsText(one, scaleOf(one), false);
  };

  it("is what it makes of its loss; a value that is not finite is said, never hidden", () => {
    expect(factsText(its())).toBe("raw 700 × 0.01 = 7; ");
    expect(factsText(its({ raw: null }))).toBe("");
    const bad = its({ raw: NaN, contribution: NaN });
    expect([isUnsound(bad), isUnsound(its())]).toEqual([true, false]);
    expect(factsText(bad)).toContain("raw NaN: no weight mends that");
  });

  it("is where it stands within its bounds", () => {
    expect(bounds()).toBe("allowed 0 to 0.1");
    expect(bounds({ weight: 0.1, scheduledWeight: 0.1 })).toBe("allowed 0 to 0.1, at its upper end");
    expect(bounds({ weight: 0.2 })).toBe("allowed 0 to 0.1, and is outside; the schedule says 0.01");
    expect(bounds({ weight: 0, scheduledWeight: 0 })).toBe("allowed 0 to 0.1");
    expect(bounds({ high: Infinity })).toBe("allowed from 0");
  });
});
