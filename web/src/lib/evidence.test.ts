import { describe, expect, it } from "vitest";
import { bucketsOf } from "./buckets";
import { culpritOf, onsetOf, panelOf, rangeText, referencesOf, windowOf } from "./evidence";
import { type Incident, incidentOf } from "./incidents";
import { alertOf, seriesInfoOf } from "./models";
import { packedBuckets } from "./testBuckets";

const BOX = { width: 100, height: 10 };
const incident = (more: Record<string, unknown> = {}): Incident =>
  incidentOf({ id: "i", run: "r", state: "open", first_step: 51, ...more });

describe("what is drawn", () => {
  const first = [
    { series: "data_wait_s", step: 84, lead_steps: 216 },
    { series: "contribution/x", step: 300, lead_steps: 0 },
  ];

  it("is the cause that the headline names, and of a jump of the total its first sign", () => {
    expect(culpritOf(incident({ headline: { series: "contribution/x" }, first_bad: first }))).toBe("contribution/x");
    expect(culpritOf(incident({ headline: { series: "loss/total" }, first_bad: first }))).toBe("data_wait_s");
    expect(culpritOf(incident({ headline: { series: "loss/total" } }))).toBe("loss/total");
  });

  it("begins where that series was off first, and reaches to a symptom that is near", () => {
    expect(onsetOf(incident({ first_bad: first }), "contribution/x")).toBe(300);
    expect(onsetOf(incident({ first_bad: first }), "loss/other")).toBe(51);
    expect(windowOf(300, 312)).toEqual({ from: 200, to: 412 });
    expect(windowOf(300, 9000)).toEqual({ from: 200, to: 400 });
    expect(windowOf(20, null)).toEqual({ from: 0, to: 120 });
  });
});

it("lines say what is declared, tolerated, usual and foretold, each once and of its own series", () => {
  const infos = [seriesInfoOf({ name: "m", contract: { low: 30, high: 60 } })];
  const alerts = [
    alertOf({ series: "m", evidence: { value: 1, low: 30, high: 60, level: 7 } }),
    alertOf({ series: "m", evidence: { level: 8, forecast: { threshold: 90 } } }),
    alertOf({ series: "other", evidence: { high: 3, predicted: 8.5 } }),
    alertOf({ series: "m", step: 901, evidence: { high: 1000 } }),
  ];
  const window = { from: 0, to: 900 };
  expect(referencesOf("m", alerts, infos, window).map(({ kind, label }) => [kind, label])).toEqual([
    ["limit", "at least 30"],
    ["limit", "at most 60"],
    ["level", "its level 7"],
    ["limit", "limit 90"],
  ]);
  expect(referencesOf("loss/total", alerts, infos, window).map(({ label }) => label)).toEqual(["foretold 8.5"]);
});

describe("a panel", () => {
  const window = { from: 0, to: 10 };
  const panel = (steps: number[], values: number[], given = {}, references = [] as const): ReturnType<typeof panelOf> =>
    panelOf(bucketsOf(packedBuckets(steps, values, given)), window, 5, references, BOX);

  it("draws each bucket from its lowest to its highest value", () => {
    const drawn = panel([0, 5], [1, 2], { min: [1, 1], max: [1, 3], count: [1, 4] });
    expect(drawn.path).toBe("M0.0 10.0L50.0 10.0L50.0 0.0");
    expect(rangeText(drawn)).toBe("1 to 3");
  });

  it("breaks at what is not finite, marks it and counts it", () => {
    const drawn = panel([0, 2, 4, 6], [1, NaN, Infinity, 2]);
    expect(drawn.path).toBe("M0.0 10.0M60.0 0.0");
    expect([drawn.marks, drawn.nonFinite, rangeText(drawn)]).toEqual([[20, 40], 2, "1 to 2; 2 not finite"]);
    expect(rangeText(panel([1], [NaN]))).toBe("all 1 not finite");
    expect(rangeText(panelOf(undefined, window, 5, [], BOX))).toBe("no points here");
  });

  it("is logarithmic where a spike would flatten all else, and says so; never with values that have no logarithm", () => {
    expect([panel([0, 1], [1, 1000]).isLog, panel([0, 1], [0, 1000]).isLog, panel([0, 1], [1, 9]).isLog]).toEqual([
      true,
      false,
      false,
    ]);
    expect(rangeText(panel([0, 1], [1, 1000]))).toBe("1 to 1000, log");
  });

  it("keeps a limit in the picture, and the onset", () => {
    const limit = { kind: "limit", value: 5, label: "at most 5" } as const;
    const drawn = panelOf(bucketsOf(packedBuckets([0, 9], [1, 3])), window, 5, [limit], BOX);
    expect([drawn.lines[0]?.y, drawn.onset, drawn.high]).toEqual([0, 50, 3]);
    expect(panelOf(undefined, window, 50, [limit], BOX)).toMatchObject({ lines: [], onset: null });
  });
});
