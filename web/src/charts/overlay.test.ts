import { describe, expect, it } from "vitest";
import { commandText } from "../lib/deeds";
import { alertOf, commandOf, eventOf } from "../lib/models";
import { GLYPHS, bandsOf, chiefOf, labelOf, marksOf } from "./overlay";

it("stages become bands up to the next one", () => {
  const bands = bandsOf([
    { index: 1, name: "b", start: 10 },
    { index: 0, name: "a", start: 0 },
  ]);
  expect(bands).toEqual([
    { from: 0, to: 10, name: "a", isOdd: false },
    { from: 10, to: null, name: "b", isOdd: true },
  ]);
});

it("stages are where the trainer says that they began", () => {
  const declared = [0, 40, 80].map((start, index) => ({ index, name: "abc"[index] ?? "", start }));
  const stage = (step: number, name: string): ReturnType<typeof eventOf> =>
    eventOf({ kind: "stage", step, data: { name } });
  const bands = (...events: ReturnType<typeof eventOf>[]): string[] =>
    bandsOf(declared, events).map(({ from, to, name }) => `${name} ${from}-${to ?? ""}`);
  const held = [stage(0, "a"), stage(40, "b"), stage(130, "c")];
  expect(bands(...held)).toEqual(["a 0-40", "b 40-130", "c 130-"]);
  expect(bands(...held, stage(165, "a"))).toEqual(["a 0-40", "b 40-130", "c 130-165", "a 165-"]);
  const back = eventOf({ kind: "rollback", step: 150, data: { from: 150, to: 100 } });
  expect(bands(...held, back)).toEqual(["a 0-40", "b 40-"]);
  expect(bands(...held, stage(60, "b"))).toEqual(["a 0-40", "b 40-60", "b 60-"]);
  expect(bands(stage(130, "c"))).toEqual(["a 0-40", "b 40-80", "c 80-130", "c 130-"]);
});

it("marks are alerts since their step and commands that were applied", () => {
  const applied = commandOf({
    id: "c",
    state: "applied",
    step: 9,
    kind: "set_weight",
    args: { component: "x", value: 1 },
    old: 2,
    new: 1,
  });
  const marks = marksOf([alertOf({ id: "a", step: 12 })], [applied, commandOf({ id: "q", state: "queued" })]);
  expect(marks.map((mark) => [mark.id, mark.step])).toEqual([
    ["c", 9],
    ["a", 12],
  ]);
});

describe("a command's ends and its effect", () => {
  const leased = {
    id: "c",
    kind: "set_weight",
    args: { component: "x", value: 1, ramp_steps: 20, lease_steps: 50 },
    state: "applied",
    step: 100,
    old: 2,
    new: 1,
    history: [{ state: "applied", at_s: 10 }],
  };
  const marks = (...commands: object[]): string[] =>
    marksOf([], commands.map(commandOf)).map((mark) => `${mark.kind} ${mark.step}`);

  it("are marks of their own, each with a shape of its own", () => {
    expect(marks(leased)).toEqual(["command 100", "ramp-end 120", "lease-end 150"]);
    expect(new Set(Object.values(GLYPHS)).size).toBe(Object.keys(GLYPHS).length);
  });

  it("are none of a command that was taken back", () => {
    const back = { id: "b", kind: "revert", args: { command: "c" }, state: "applied", step: 110 };
    expect(marks(leased, back)).toEqual(["command 100", "command 110"]);
  });

  it.each([
    ["worked", "effect-worked", "none"],
    ["no effect", "effect-none", "none"],
    ["worse", "effect-worse", "warning"],
  ])("a verdict says so in words: %s", (verdict, kind, severity) => {
    const effect = { verdict, at_step: 100, steps: 50, text: "The total rose." };
    const mark = marksOf([], [commandOf({ ...leased, args: { component: "x" }, effect })]).at(-1);
    expect(mark).toMatchObject({ kind, severity, step: 150, card: "c" });
    expect(mark?.text).toBe(`${verdict}: x weight 2 → 1, by step 150. The total rose.`);
  });

  it("what cannot be said is no mark", () => {
    const effect = { verdict: "no effect", at_step: 100, steps: 50, text: "", decided: false };
    expect(marks({ ...leased, args: {}, effect })).toEqual(["command 100"]);
  });

  it("go with the step that a rollback put it to: it is still in force there", () => {
    const back = eventOf({ kind: "rollback", step: 140, time_s: 30, data: { from: 140, to: 60 } });
    const ends = marksOf([], [commandOf(leased)], [back]).map((mark) => `${mark.kind} ${mark.step}`);
    expect(ends).toEqual(["rollback 60", "ramp-end 80", "lease-end 110"]);
  });
});

describe("trips", () => {
  const trip = (step: number, action = "skipped", time = step): ReturnType<typeof eventOf> =>
    eventOf({ kind: "trip", step, time_s: time, data: { mode: "device", action, series: ["loss/ce"], text: "" } });

  it("are marks that say what was done, and where the value was born", () => {
    const origin = eventOf({ kind: "origin", step: 40, data: { text: "aten.log in decoder.head gave NaN" } });
    const [mark] = marksOf([], [], [trip(40), origin]);
    expect(mark).toMatchObject({ kind: "trip", step: 40, severity: "warning", card: null });
    expect(mark?.text).toBe(
      "trip: loss/ce not finite at step 40: the update was skipped. aten.log in decoder.head gave NaN",
    );
  });

  it("that were only observed are in the weights, and look so", () => {
    expect(marksOf([], [], [trip(40, "observed")])[0]).toMatchObject({ severity: "critical" });
  });

  it("lead to the alert that covers them", () => {
    const alert = alertOf({ id: "a", rule: "nonfinite", step: 39, last_step: 41 });
    const marks = marksOf([alert], [], [trip(40), trip(90)]);
    expect(marks.filter((mark) => mark.kind === "trip").map((mark) => mark.card)).toEqual(["a", null]);
  });

  it("that are many under one glyph say so in few lines", () => {
    const marks = marksOf(
      [],
      [],
      Array.from({ length: 40 }, (_, i) => trip(i)),
    );
    const lines = labelOf(marks).split("\n");
    expect([lines.length, lines.at(-1)]).toEqual([6, "and 35 more"]);
  });

  it("stand behind a critical alert under one glyph", () => {
    const alert = alertOf({ id: "a", rule: "nonfinite", step: 40, severity: "critical" });
    const marks = marksOf([alert], [], [trip(40)]);
    expect(chiefOf(marks)?.kind).toBe("alert");
    expect(marks.map((mark) => mark.kind)).toEqual(["trip", "alert"]);
  });
});

describe("a rollback", () => {
  const back = eventOf({
    kind: "rollback",
    step: 90,
    time_s: 1000,
    data: { from: 90, to: 60, command: "c" },
  });
  const command = commandOf({
    id: "c",
    kind: "rollback",
    state: "applied",
    step: 60,
    history: [{ state: "applied", at_s: 50 }],
  });

  it("is one mark where the new branch begins, with its command", () => {
    const marks = marksOf([], [command], [back]);
    expect(marks.map((mark) => [mark.kind, mark.step, mark.card])).toEqual([["rollback", 60, "c"]]);
    expect(marks[0]?.text).toBe("rolled back to 60 from 90");
  });

  it("takes marks of the older branch off: trips by their order, alerts and commands by the server's clock", () => {
    const trip = (step: number): ReturnType<typeof eventOf> => eventOf({ kind: "trip", step, time_s: 999 });
    const alert = (id: string, step: number, fired: number): ReturnType<typeof alertOf> =>
      alertOf({ id, step, fired_s: fired });
    const marks = marksOf(
      [alert("old", 80, 49), alert("before", 50, 40), alert("new", 80, 60)],
      [command, commandOf({ id: "w", state: "applied", step: 70, history: [{ state: "applied", at_s: 45 }] })],
      [trip(80), trip(55), back, trip(81)],
    );
    expect(marks.map((mark) => [mark.kind, mark.step])).toEqual([
      ["alert", 50],
      ["trip", 55],
      ["rollback", 60],
      ["alert", 80],
      ["trip", 81],
    ]);
  });
});

it("a rollback stands before what was asked for at its step", () => {
  const asked = { id: "i", step: 60, severity: "none", kind: "command", text: "", card: null } as const;
  expect(chiefOf([asked, { ...asked, id: "b", kind: "rollback" }])?.kind).toBe("rollback");
});

it("says what the commands of the guard do", () => {
  expect([
    commandText(commandOf({ kind: "instrument", args: { steps: 200 } })),
    commandText(commandOf({ kind: "rollback" })),
  ]).toEqual(["full detail for 200 steps", "roll back"]);
});
