import { describe, expect, it } from "vitest";
import type { Range, Values } from "../lib/fold";
import { INK, look } from "../lib/palette";
import type { Smoothing } from "../lib/smooth";
import { PointStore } from "../lib/store";
import { type Choices, type Ground, type Picture, pictureOf } from "./picture";
import { type ChartSpec, PLAIN, lineOf } from "./spec";
import type { Theme } from "./theme";

const NAMES = ["loss/total", "loss/often", "loss/seldom"] as const;
const SELDOM = 37;
const spec: ChartSpec = {
  ...PLAIN,
  id: "losses",
  title: "Losses",
  lines: NAMES.map((name, i) => ({ ...lineOf(name, name, i === 0 ? INK : look(i)), isTotal: i === 0 })),
  canStack: true,
};

/** The steps up to `last`, with a part that is logged now and then, and a NaN early in the run. */
function storeTo(last: number): PointStore {
  const store = new PointStore();
  const noise = (step: number): number => 2 + Math.sin(step * 7.3) + Math.sin(step / 90);
  const all = Array.from({ length: last + 1 }, (_, step) => step);
  for (const [name, every] of [[NAMES[0], 1], [NAMES[1], 1], [NAMES[2], SELDOM]] as const) {
    const steps = all.filter((step) => step % every === 0);
    const values = steps.map((step) => (step === 3 ? NaN : noise(step + every)));
    store.append({ run: "r", names: [name], steps: Float64Array.from(steps), values: [Float64Array.from(values)] });
  }
  return store;
}

function pictured(store: PointStore, choices: Partial<Choices>, smoothing: Smoothing, range: Range, drawnTo: number | null): Picture {
  const ground: Ground = {
    store,
    range,
    isGoingOn: true,
    overlay: { bands: [], marks: [] },
    gaps: [],
    smoothing,
    theme: {} as Theme,
  };
  const chosen: Choices = { scale: "linear", form: "lines", hidden: new Set(), ...choices };
  const picture = pictureOf(spec, chosen, ground, 300, drawnTo);
  if (picture === null) throw new Error("there are points");
  return picture;
}

/** What is drawn at steps behind `behind`, series by series; a running mean depends on where it began by its rounding. */
function drawnBehind({ frame }: Picture, behind: number): [number, Values][] {
  return frame.x.flatMap((step, i) =>
    step >= behind ? [[step, [...frame.ys, ...frame.centres].map((values) => rounded(values[i]))] as [number, Values]] : [],
  );
}

function rounded(value: Values[number]): Values[number] {
  return typeof value === "number" ? Number(value.toPrecision(9)) : value;
}

const WINDOWS: readonly [string, number, Range][] = [
  ["a column a step", 200, { kind: "all" }],
  ["columns of several steps", 2000, { kind: "all" }],
  ["the last steps", 2000, { kind: "last", steps: 500 }],
  ["a window that was chosen", 2000, { kind: "fixed", from: 700, to: 2100 }],
];

describe.each(WINDOWS)("a tip of %s", (_, last, range) => {
  it.each([
    ["lines", { form: "lines" }, "off"],
    ["lines on a log axis", { form: "lines", scale: "log" }, "off"],
    ["smoothed lines", { form: "lines" }, "medium"],
    ["areas", { form: "areas" }, "off"],
    ["shares", { form: "shares" }, "off"],
  ] as const)("is what the whole picture has there: %s", (_name, choices, smoothing) => {
    const store = storeTo(last);
    for (let drawnTo = last - 60; drawnTo < last; drawnTo += 7) {
      const whole = pictured(store, choices, smoothing, range, null);
      const tip = pictured(store, choices, smoothing, range, drawnTo);
      const behind = tip.behind ?? NaN;
      expect(behind).toBeLessThanOrEqual(drawnTo);
      expect(drawnBehind(tip, behind)).toEqual(drawnBehind(whole, behind));
      expect(tip.frame.x.length).toBeLessThan(whole.frame.x.length);
      expect([tip.window, tip.lastStep]).toEqual([whole.window, last]);
    }
  });
});

it("a tip reaches back to where a series goes on from", () => {
  const at = SELDOM * 6;
  const behindOf = (last: number): number | null => pictured(storeTo(last), {}, "off", { kind: "all" }, last - 1).behind;
  expect([behindOf(at), behindOf(at + 1)]).toEqual([SELDOM * 5, at]);
});

it("a tip holds of each line the value from which it comes into sight", () => {
  const last = SELDOM * 6 + 12;
  const tip = pictured(storeTo(last), {}, "off", { kind: "last", steps: 60 }, last - 1);
  const seldom = tip.frame.ys[2]?.filter((value) => typeof value === "number");
  expect([tip.behind, seldom?.length]).toEqual([last - 1, 2]);
});

it("the picture of all begins with the first step", () => {
  expect(pictured(storeTo(200), {}, "off", { kind: "all" }, null)).toMatchObject({ behind: null, lastStep: 200 });
});
