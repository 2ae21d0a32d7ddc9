import { describe, expect, it } from "vitest";
import { type Rule, type RulesView, rulesViewOf } from "./rules";
import {
  type Draft,
  NO_DRAFT,
  changesOf,
  faultIn,
  forgotten,
  isSound,
  overlaid,
  reset,
  resetAll,
  spelledOut,
  standing,
  switched,
  typed,
  withDraft,
} from "./rulesDraft";

function view(factor: number, isOn = true, own = {}): RulesView {
  const parameters = [
    { name: "factor", low: 1.01, high: 1e6, default: 1.5, value: factor, unit: "times" },
    { name: "need", low: 1, high: 100, default: 3, value: 3, unit: "samples" },
  ];
  return rulesViewOf({ own, rules: [{ name: "loss_jump", number: "R4", enabled: isOn, parameters }] });
}

function rule(of: RulesView): Rule {
  const [first] = of.rules;
  if (first === undefined) throw new Error("no rule");
  return first;
}

function type(of: RulesView, text: string, draft: Draft = NO_DRAFT): Draft {
  const [factor] = rule(of).parameters;
  if (factor === undefined) throw new Error("no parameter");
  return typed(draft, rule(of), factor, text);
}

describe("typing a value", () => {
  it("is a change until it is what counts already, also in another spelling", () => {
    const draft = type(view(1.5), "2");
    expect(changesOf(draft, view(1.5).rules, [])).toEqual([
      { rule: "loss_jump", parameter: "factor", from: "1.5", to: "2" },
    ]);
    expect(type(view(1.5), "1.50", draft)).toEqual({});
    expect(forgotten(draft, "loss_jump", "factor")).toEqual({});
  });

  it("keeps what is no number, and says why it cannot be set", () => {
    const [factor] = rule(view(1.5)).parameters;
    if (factor === undefined) throw new Error("no parameter");
    expect(["", " ", "1,5", "NaN", "Infinity", "abc"].map((text) => faultIn(factor, text))).toEqual(
      Array(6).fill("Type a number, with a point for decimals."),
    );
    expect(["1", "1.01", "1e6", "1e7"].map((text) => faultIn(factor, text))).toEqual([
      "It must be 1.01 to 1e6.",
      null,
      null,
      "It must be 1.01 to 1e6.",
    ]);
    for (const text of ["", "abc", "1e7"]) expect(isSound(type(view(1.5), text), view(1.5).rules), text).toBe(false);
    expect(isSound(type(view(1.5), "2"), view(1.5).rules)).toBe(true);
  });
});

describe("what is sent", () => {
  const own = { loss_jump: { enabled: false, parameters: { factor: 2 } }, drift: { parameters: { k: 3 } } };

  it("is all that is set at the place, with the draft in it", () => {
    expect(withDraft(own, type(view(2), "4"))).toEqual({
      loss_jump: { enabled: false, parameters: { factor: 4 } },
      drift: { parameters: { k: 3 } },
    });
    expect(withDraft({}, switched({}, rule(view(1.5)), false))).toEqual({ loss_jump: { enabled: false } });
  });

  it("leaves out what is reset, and the rule with its last word", () => {
    const draft = reset(reset(NO_DRAFT, "drift", "k"), "loss_jump", "factor");
    expect(withDraft(own, draft)).toEqual({ loss_jump: { enabled: false } });
    expect(withDraft(own, resetAll(own))).toEqual({});
  });

  it("is not led astray by a rule that is named like an object's own", () => {
    const nasty = JSON.parse('{"constructor": {"parameters": {"__proto__": 1, "toString": 2}}}') as typeof own;
    expect(withDraft({}, reset(NO_DRAFT, "constructor", "x"))).toEqual({});
    expect(Object.keys(withDraft(nasty, NO_DRAFT))).toEqual(["constructor"]);
  });
});

describe("a reset", () => {
  it("is said with the value that it leads back to, and previewed as that value", () => {
    const draft = reset(switched({}, rule(view(2)), false), "loss_jump", "factor");
    expect(changesOf(draft, view(2).rules, view(1.7).rules).map(({ from, to }) => `${from} → ${to}`)).toEqual([
      "on → off",
      "2 → 1.7 (reset)",
    ]);
    expect(spelledOut(draft, view(1.7).rules)).toEqual({ loss_jump: { enabled: false, parameters: { factor: 1.7 } } });
  });
});

it("of a project's and a run's settings the run's count, one by one", () => {
  expect(
    overlaid(
      { a: { enabled: false, parameters: { x: 1, y: 1 } } },
      { a: { parameters: { y: 2 } }, b: { enabled: true } },
    ),
  ).toEqual({ a: { enabled: false, parameters: { x: 1, y: 2 } }, b: { enabled: true } });
});

it("the rules as they stand are all that differs from the defaults, with the draft over it", () => {
  expect(standing(view(1.5), [], NO_DRAFT)).toEqual({});
  expect(standing(view(2, false), view(1.5).rules, NO_DRAFT)).toEqual({
    loss_jump: { enabled: false, parameters: { factor: 2 } },
  });
  expect(standing(view(2), view(1.5).rules, type(view(2), "8"))).toEqual({ loss_jump: { parameters: { factor: 8 } } });
});
