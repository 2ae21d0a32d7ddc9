import { expect, it } from "vitest";
import {
  AS_BELOW,
  OFF,
  byItselfText,
  type PolicyDraft,
  choicesFor,
  doneText,
  draftOf,
  faultOfDraft,
  lineOf,
  linesOf,
  policiesViewOf,
  policyOfCommand,
  policyText,
  promiseText,
  refusedText,
  usedText,
  withPolicy,
} from "./policies";

const ANSWER = {
  own: { drift: { do: "off" }, loss_jump: { do: "pause", budget: 3, severity: "critical", pause_s: 600 } },
  policies: {
    loss_jump: { do: "pause", budget: 3, severity: "critical", pause_s: 600, set_by: "run" },
    nonfinite: { do: "checkpoint", budget: 1, severity: "warning", pause_s: 0, set_by: "file" },
  },
  ignored: ["gone: there is no such rule."],
  used: { loss_jump: 3, plateau: 2 },
  refused: { nonfinite: "The training script does not allow 'checkpoint'." },
  waiting: { loss_jump: "The trainer is away." },
};
const VIEW = policiesViewOf(ANSWER);
const DRAFT: PolicyDraft = { rule: "drift", deed: "pause", budget: "2", severity: "critical", pauseS: "600" };

it("a line for what is in force, what is switched off here and what acted before, in the rules' order", () => {
  const lines = linesOf(VIEW, ["nonfinite", "loss_jump", "drift", "bound"]);
  expect(lines.map((line) => [line.rule, line.policy?.deed ?? null, line.isOwn, usedText(line)])).toEqual([
    ["nonfinite", "checkpoint", false, "0 of 1 used"],
    ["loss_jump", "pause", true, "3 of 3 used: it acts no more"],
    ["drift", null, true, ""],
    ["plateau", null, false, "acted 2 times before"],
  ]);
  expect(lines.map((line) => line.remark)).toEqual([
    "It does nothing: The training script does not allow 'checkpoint'.",
    "It waits: The trainer is away.",
    "",
    "",
  ]);
});

it("of a project nobody says what is used", () => {
  const view = policiesViewOf({ own: {}, policies: ANSWER.policies, ignored: [] });
  expect(usedText(lineOf(view, "loss_jump"))).toBe("");
});

it("a name of the wire is only a name", () => {
  expect(lineOf(VIEW, "constructor")).toEqual({ rule: "constructor", policy: null, used: 0, isOwn: false, remark: "" });
});

it("says what happens, how often and upon what", () => {
  const text = (rule: string): string => policyText(VIEW.policies[rule] ?? null);
  expect(text("loss_jump")).toBe(
    "pauses the run, at most 3 times in a run, at most once in 10 min; upon critical alerts",
  );
  expect(text("nonfinite")).toBe("asks for a checkpoint, once in a run; upon warnings too");
  expect(text("drift")).toBe("nothing");
});

it("what does nothing is not told as if it did something", () => {
  expect(byItselfText(lineOf(VIEW, "nonfinite"))).toBe(
    "the server asks for a checkpoint, once in a run; upon warnings too; 0 of 1 used. " +
      "It does nothing: The training script does not allow 'checkpoint'.",
  );
  expect(byItselfText(lineOf(VIEW, "bound"))).toBe("nothing happens");
});

it("between two steps that the guard keeps out no time must lie", () => {
  const skip = { ...DRAFT, rule: "nonfinite", deed: "skip" };
  expect(promiseText(skip, "not a number")).not.toContain("once in");
  expect(faultOfDraft({ ...skip, pauseS: "soon" })).toBeNull();
  expect(withPolicy({}, { ...skip, pauseS: "soon" })).toEqual({ nonfinite: { do: "skip", budget: 2, severity: "critical" } });
});

it("says before what will happen, and after what was set", () => {
  expect(promiseText(DRAFT, "drift of a series")).toBe(
    "When a critical alert of “drift of a series” begins to fire, the server pauses the run without asking anybody: " +
      "at most 2 times in a run, at most once in 10 min. Alerts that fire already are left alone.",
  );
  expect(promiseText({ ...DRAFT, deed: OFF }, "drift")).toContain("nothing will happen by itself");
  expect(promiseText({ ...DRAFT, deed: AS_BELOW }, "drift")).toContain("set further away will count again");
  expect(doneText(DRAFT, "drift", "this run")).toBe(
    "Set for this run: drift → pause the run, at most 2 times in a run. It counts from now on.",
  );
  expect(doneText(DRAFT, "drift", "this run", true)).toContain("it counts if the run goes on");
  expect(doneText({ ...DRAFT, deed: AS_BELOW }, "drift", "project p")).toContain("Taken away for project p");
});

it("only the guard's rule has the guard's deed, and only what is set here can be taken away", () => {
  const deeds = (rule: string, isOwn: boolean): string[] => choicesFor(rule, isOwn).map(([deed]) => deed);
  expect(deeds("nonfinite", false)).toContain("skip");
  expect(deeds("drift", false)).not.toContain("skip");
  expect(deeds("drift", true).slice(-2)).toEqual([OFF, AS_BELOW]);
});

it.each([
  ["", "600", false],
  ["0", "600", false],
  ["1.5", "600", false],
  ["101", "600", false],
  ["3", "", false],
  ["3", "-1", false],
  ["3", "604801", false],
  ["3", "0", true],
  [" 100 ", "604800", true],
])("a budget of %j and a pause of %j: sound is %j", (budget, pauseS, isSound) => {
  expect(faultOfDraft({ ...DRAFT, budget, pauseS }) === null).toBe(isSound);
});

it("nothing is wrong with the numbers of what does not act", () => {
  expect(faultOfDraft({ ...DRAFT, deed: OFF, budget: "many" })).toBeNull();
});

it("sends the others along as they came", () => {
  const { own } = VIEW;
  expect(withPolicy(own, DRAFT)).toEqual({
    loss_jump: ANSWER.own.loss_jump,
    drift: { do: "pause", budget: 2, severity: "critical", pause_s: 600 },
  });
  expect(withPolicy(own, { ...DRAFT, deed: OFF })["drift"]).toEqual({ do: "off" });
  expect(withPolicy(own, { ...DRAFT, deed: AS_BELOW })).toEqual({ loss_jump: ANSWER.own.loss_jump });
});

it("a form begins with what is in force", () => {
  const draft = draftOf(lineOf(VIEW, "nonfinite"));
  expect(draft).toEqual({ rule: "nonfinite", deed: "checkpoint", budget: "1", severity: "warning", pauseS: "0" });
});

it("says what the script of the run will not do", () => {
  expect(refusedText({ ...DRAFT, deed: "lower_weight" }, ["pause"])).toContain("does not allow “set weight”");
  expect(refusedText(DRAFT, ["pause"])).toBeNull();
  expect(refusedText({ ...DRAFT, deed: OFF }, [])).toBeNull();
});

it("a policy's command says of itself which policy gave it", () => {
  expect(policyOfCommand("policy:drift", "The policy for drift does pause; 1 of 2 left.")).toContain("1 of 2 left");
  expect(policyOfCommand("policy:drift", null)).toBe("The policy for drift gave it.");
  expect(policyOfCommand("admin", "because")).toBeNull();
});
