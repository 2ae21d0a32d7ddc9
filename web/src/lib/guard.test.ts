import { describe, expect, it } from "vitest";
import { breakable, guardOf, guardStateWord, guardText, isReproducedText, originOf, shortPlace } from "./guard";
import { alertOf, runOf } from "./models";

describe("the guard of a run", () => {
  it("is on, off or only reports, and lines for whoever asks", () => {
    const guard = guardOf({ modes: ["device", "trip", "device"], on_trip: "pause", notes: ["no fused kernel"] });
    expect(guard && guardStateWord(guard)).toBe("on");
    const wordOf = (...modes: string[]): string => guardStateWord({ modes, onTrip: "", notes: [] });
    expect([wordOf("off"), wordOf("observe", "off"), wordOf("observe", "trip")]).toEqual(["off", "only reports", "on"]);
    const lines = (guard && guardText(guard))?.split("\n");
    expect(lines).toHaveLength(4);
    expect(lines?.at(-2)).toBe("after a trip the run pauses");
    expect(lines?.at(-1)).toBe("no fused kernel");
  });

  it("of an older trainer or server is absent", () => {
    expect(runOf({ id: "r" })).toMatchObject({ guard: null, trips: 0, snapshotStep: null, detailUntil: null });
    expect(guardOf({ modes: [], on_trip: "skip", notes: [] })).toBeNull();
  });

  it("has no snapshot where the trainer says -1", () => {
    expect(runOf({ snapshot_step: -1, detail_until: 0 })).toMatchObject({ snapshotStep: null, detailUntil: 0 });
  });
});

describe("an origin", () => {
  it("is read from an alert's evidence, and is none of its numbers", () => {
    const origin = { op: "aten.log.default", phase: "forward", reproduced: true, steps_late: 2, where: null };
    const alert = alertOf({ id: "a", evidence: { text: "why", count: 3, origin } });
    expect(alert.origin).toMatchObject({ op: "aten.log.default", module: null, reproduced: true, stepsLate: 2 });
    expect(alert.evidence).toEqual([["count", 3]]);
    expect(alertOf({ id: "a", evidence: {} }).origin).toBeNull();
  });

  it.each([
    [true, "reproduced by replay"],
    [false, "not reproduced by replay"],
    [null, "no replay possible"],
    [undefined, "no replay possible"],
  ])("says of a replay that was %s: %s", (reproduced, said) => {
    const origin = originOf({ reproduced });
    expect(origin && isReproducedText(origin)).toBe(said);
  });

  it.each([
    [{ file: "/srv/train/models/loss.py", line: 42, function: "spectrum" }],
    [["/srv/train/models/loss.py", 42, "spectrum"]],
  ])("knows its line: %j", (where) => {
    const place = originOf({ where })?.where;
    expect(place && shortPlace(place)).toBe("models/loss.py:42 in spectrum");
  });

  it("takes a line that is only words as it is, and none as none", () => {
    const place = originOf({ where: "gradient of a/b/c.weight" })?.where;
    expect(place && shortPlace(place)).toBe("gradient of a/b/c.weight");
    expect([originOf({ where: {} })?.where, originOf({})?.where]).toEqual([null, null]);
  });
});

it("a path may be broken after its dots, and loses nothing", () => {
  const path = "decoder.layers.3.norm";
  expect(breakable(path)).toEqual(["decoder.", "layers.", "3.", "norm"]);
  for (const odd of [path, "..", "a", "", "x.py:42", ".a.", "aten::log.default"])
    expect(breakable(odd).join("")).toBe(odd);
});

describe("the words of an origin", () => {
  it("say non-finite values as the page does, and begin like a sentence", () => {
    expect(originOf({ text: "the first nan is in aux, inf before" })?.text).toBe("The first NaN is in aux, Inf before");
    expect(originOf({ text: "aten.log gave nan." })?.text).toBe("aten.log gave NaN.");
  });

  it("leave names as they are", () => {
    expect(originOf({ text: "loss/nan of nan.weight, nan_guard" })?.text).toBe("loss/nan of nan.weight, nan_guard");
  });
});
