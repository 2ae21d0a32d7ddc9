import { describe, expect, it } from "vitest";
import { commandOf, eventOf } from "./models";
import { beginsText, changeLines, holdText, scheduleMark, scheduleOf, stageNow, stagesAsTheyCome } from "./schedule";

const STAGES = [
  { name: "a", start: 0, begins_at: null },
  { name: "b", start: 100, begins_at: null },
  { name: "c", start: 300, begins_at: 350 },
];

const schedule = (over: object = {}): ReturnType<typeof scheduleOf> =>
  scheduleOf({ position: 150, held: null, stages: STAGES, ...over });

describe("a stage", () => {
  it("is over, now, or begins at a step", () => {
    expect([0, 1, 2].map((i) => beginsText(schedule(), i))).toEqual(["over", "now", "at step 350"]);
    expect(stageNow(schedule())).toBe(1);
  });

  it("of a held clock waits, or begins after the hold", () => {
    const forever = schedule({
      held: { since: 150, until: null },
      stages: STAGES.map((s) => ({ ...s, begins_at: null })),
    });
    expect([1, 2].map((i) => beginsText(forever, i))).toEqual(["now, held", "waits for the release"]);
    const leased = schedule({ held: { since: 150, until: 200 } });
    expect(beginsText(leased, 2)).toBe("at step 350");
  });

  it("of a run that has ended was the last, or was not reached", () =>
    expect([0, 1, 2].map((i) => beginsText(schedule(), i, true))).toEqual(["over", "the last", "not reached"]));

  it("before the first is none", () => expect(stageNow(schedule({ position: null }))).toBe(-1));
});

it.each([
  [null, ""],
  [false, ""],
  [true, "held until it is released"],
  [{ since: 600, until: null }, "held since step 600 until it is released"],
  [{ since: 600, until: 800 }, "held since step 600 until step 800"],
])("a hold is said plainly: %j", (held, said) => expect(holdText(schedule({ held }).held)).toBe(said));

describe("what is to come", () => {
  it("says what the server says of it", () =>
    expect(changeLines(schedule({ changes: [{ step: 350, text: "stage c" }] }), 8).lines).toEqual([
      { step: 350, text: "stage c" },
    ]));

  it("says by itself which stage begins and what ends, where only steps are told", () => {
    const operations = [
      {
        step: 200,
        id: "x",
        kind: "set_weight",
        args: { component: "ce", value: 0.5, ramp_steps: 150, lease_steps: 400 },
      },
      [240, "y", "set_lr_scale", { value: 0.1, lease_steps: 110 }],
    ];
    const { lines } = changeLines(schedule({ changes: [600, 350, 700], operations }), 8);
    expect(lines).toEqual([
      {
        step: 350,
        text: "stage c begins; set ce weight to 0.5: the ramp arrives; learning rates × 0.1: ends by itself",
      },
      { step: 600, text: "set ce weight to 0.5: ends by itself" },
      { step: 700, text: "weights change" },
    ]);
  });

  it("is a short list, and says how much more there is", () => {
    const changes = Array.from({ length: 12 }, (_, i) => ({ step: i, text: "x" }));
    const { lines, more } = changeLines(schedule({ changes }), 8);
    expect([lines.length, more]).toEqual([8, 4]);
  });
});

it("is another one after each thing that was done to it, and after no other", () => {
  const set = commandOf({ id: "c", kind: "set_weight", state: "applied" });
  const none = scheduleMark([], []);
  expect(scheduleMark([commandOf({ id: "p", kind: "pause", state: "applied" })], [])).toBe(none);
  expect(scheduleMark([{ ...set, state: "queued" }], [])).toBe(none);
  expect(scheduleMark([set], [])).not.toBe(none);
  expect(scheduleMark([], [eventOf({ kind: "resume", step: 5, time_s: 1 })])).not.toBe(none);
});

describe("stages as they come", () => {
  const declared = STAGES.map(({ name, start }, index) => ({ index, name, start }));
  const starts = (over: object, ...events: ReturnType<typeof eventOf>[]): number[] =>
    stagesAsTheyCome(declared, schedule(over), events).map(({ start }) => start);

  it("begin where they began, and where they will", () => {
    const began = eventOf({ kind: "stage", step: 130, data: { index: 1, name: "b" } });
    expect(starts({}, began)).toEqual([0, 130, 350]);
    expect(stagesAsTheyCome(declared, null, [began])).toEqual(declared);
  });

  it("do not begin as long as the present one is held", () => {
    const waiting = STAGES.map((stage) => ({ ...stage, begins_at: null }));
    expect(starts({ held: { since: 150, until: null }, stages: waiting })).toEqual([0, 100, Infinity]);
  });
});
