/**
 * What a person has changed in the rules and not set yet.
 *
 * Rules of this file:
 * - A draft holds what was typed, also when it is no number: nothing that a person wrote is lost or corrected.
 * - `null` takes away what is set at this place, so that what lies beneath counts again.
 * - A PUT replaces all that is set at a place, so a configuration is built of what is set there and the draft.
 */
import { exact, short } from "./format";
import type { Configuration, Parameter, Rule, RulesView, Tuning } from "./rules";

export interface RuleDraft {
  readonly enabled?: boolean | null;
  readonly values: Readonly<Record<string, string | null>>;
}

export type Draft = Readonly<Record<string, RuleDraft>>;

export const NO_DRAFT: Draft = {};

/** One change, to be said: of `parameter` null the rule's switch. */
export interface Change {
  readonly rule: string;
  readonly parameter: string | null;
  readonly from: string;
  readonly to: string;
}

export function typedOf(draft: Draft, rule: string, parameter: string): string | null | undefined {
  return own(own(draft, rule)?.values ?? {}, parameter);
}

/** A value was typed; typing what counts already is no change. */
export function typed(draft: Draft, rule: Rule, parameter: Parameter, text: string): Draft {
  const isSame = text.trim() !== "" && Number(text) === parameter.value;
  return isSame ? forgotten(draft, rule.name, parameter.name) : withValue(draft, rule.name, parameter.name, text);
}

/** What is set at this place for the parameter is to be taken away. */
export function reset(draft: Draft, rule: string, parameter: string): Draft {
  return withValue(draft, rule, parameter, null);
}

/** All that is set at this place is to be taken away. */
export function resetAll(configuration: Configuration): Draft {
  return Object.fromEntries(
    Object.entries(configuration).map(([name, said]) => [
      name,
      {
        ...(said.enabled === undefined ? {} : { enabled: null }),
        values: Object.fromEntries(Object.keys(said.parameters ?? {}).map((parameter) => [parameter, null])),
      },
    ]),
  );
}

export function switched(draft: Draft, rule: Rule, isOn: boolean | null): Draft {
  const { values } = own(draft, rule.name) ?? { values: {} };
  return tidy({ ...draft, [rule.name]: isOn === rule.isOn ? { values } : { values, enabled: isOn } });
}

/** A change is taken back before it was set. */
export function forgotten(draft: Draft, rule: string, parameter: string): Draft {
  const said = own(draft, rule) ?? { values: {} };
  const values = Object.fromEntries(Object.entries(said.values).filter(([name]) => name !== parameter));
  return tidy({ ...draft, [rule]: { ...said, values } });
}

/** What was changed after `set` was sent, and is still to be set. */
export function withoutSet(draft: Draft, set: Draft): Draft {
  const left = Object.entries(draft).map(([name, said]) => {
    const before = own(set, name);
    const values = Object.entries(said.values).filter(([key, text]) => own(before?.values ?? {}, key) !== text);
    const isSame = said.enabled === undefined || said.enabled === before?.enabled;
    return [name, { values: Object.fromEntries(values), ...(isSame ? {} : { enabled: said.enabled }) }] as const;
  });
  const rest = tidy(Object.fromEntries(left));
  return Object.keys(rest).length === 0 ? NO_DRAFT : rest;
}

function withValue(draft: Draft, rule: string, parameter: string, value: string | null): Draft {
  const said = own(draft, rule) ?? { values: {} };
  return { ...draft, [rule]: { ...said, values: { ...said.values, [parameter]: value } } };
}

function tidy(draft: Draft): Draft {
  const isSaid = ([, said]: [string, RuleDraft]): boolean =>
    said.enabled !== undefined || Object.keys(said.values).length > 0;
  return Object.fromEntries(Object.entries(draft).filter(isSaid));
}

/** What is wrong with a typed value, in one sentence; null when nothing is. */
export function faultIn(parameter: Parameter, text: string): string | null {
  const value = numberIn(text);
  if (value === null) return "Type a number, with a point for decimals.";
  if (value < parameter.low || value > parameter.high)
    return `It must be ${short(parameter.low)} to ${short(parameter.high)}.`;
  return null;
}

/** Empty, words and infinities are no value that a rule could have. */
function numberIn(text: string): number | null {
  const value = Number(text);
  return text.trim() !== "" && Number.isFinite(value) ? value : null;
}

/** Whether every typed value can be set. */
export function isSound(draft: Draft, rules: readonly Rule[]): boolean {
  return rules.every((rule) =>
    rule.parameters.every((parameter) => {
      const said = typedOf(draft, rule.name, parameter.name);
      return said === undefined || said === null || faultIn(parameter, said) === null;
    }),
  );
}

/** What is changed, in the order of the rules; `beneath`: what counts where this place says nothing. */
export function changesOf(draft: Draft, rules: readonly Rule[], beneath: readonly Rule[]): Change[] {
  const below = new Map(beneath.map((rule) => [rule.name, rule]));
  return rules.flatMap((rule) => {
    const said = own(draft, rule.name);
    return said === undefined ? [] : changesOfRule(rule, said, below.get(rule.name));
  });
}

function changesOfRule(rule: Rule, said: RuleDraft, below: Rule | undefined): Change[] {
  const onOff = (isOn: boolean): string => (isOn ? "on" : "off");
  const switching: Change[] =
    said.enabled === undefined
      ? []
      : [
          {
            rule: rule.name,
            parameter: null,
            from: onOff(rule.isOn),
            to: said.enabled === null ? `${onOff(below?.isOn ?? true)} (reset)` : onOff(said.enabled),
          },
        ];
  const values = rule.parameters.flatMap((parameter): Change[] => {
    const to = own(said.values, parameter.name);
    if (to === undefined) return [];
    const again = below?.parameters.find((each) => each.name === parameter.name)?.value ?? parameter.usual;
    return [
      {
        rule: rule.name,
        parameter: parameter.name,
        from: exact(parameter.value),
        to: to === null ? `${exact(again)} (reset)` : to.trim(),
      },
    ];
  });
  return [...switching, ...values];
}

/** All that is set at the place when the draft is: the body of a PUT. Only of a sound draft. */
export function withDraft(configuration: Configuration, draft: Draft): Configuration {
  const names = [...new Set([...Object.keys(configuration), ...Object.keys(draft)])];
  return compact(
    Object.fromEntries(names.map((name) => [name, tuningWith(own(configuration, name) ?? {}, own(draft, name))])),
  );
}

function tuningWith(tuning: Tuning, said: RuleDraft | undefined): Tuning {
  if (said === undefined) return tuning;
  const enabled = said.enabled === undefined ? tuning.enabled : (said.enabled ?? undefined);
  const parameters = { ...tuning.parameters };
  for (const [name, text] of Object.entries(said.values)) {
    if (text === null) Reflect.deleteProperty(parameters, name);
    else parameters[name] = Number(text);
  }
  return { ...(enabled === undefined ? {} : { enabled }), parameters };
}

function compact(configuration: Configuration): Configuration {
  const kept = Object.entries(configuration).flatMap(([name, { enabled, parameters = {} }]) => {
    const isEmpty = Object.keys(parameters).length === 0;
    if (enabled === undefined && isEmpty) return [];
    return [[name, { ...(enabled === undefined ? {} : { enabled }), ...(isEmpty ? {} : { parameters }) }] as const];
  });
  return Object.fromEntries(kept);
}

/** The draft with its resets written out as the values that they lead back to. */
export function spelledOut(draft: Draft, beneath: readonly Rule[]): Configuration {
  const below = new Map(beneath.map((rule) => [rule.name, rule]));
  const plain = Object.entries(draft).map(([name, said]) => {
    const rule = below.get(name);
    const values = Object.entries(said.values).map(([parameter, text]) => {
      const again = rule?.parameters.find((each) => each.name === parameter)?.value;
      return [parameter, text ?? (again === undefined ? null : exact(again))] as const;
    });
    const enabled = said.enabled === null ? (rule?.isOn ?? true) : said.enabled;
    return [name, { ...(enabled === undefined ? {} : { enabled }), values: Object.fromEntries(values) }] as const;
  });
  return withDraft({}, Object.fromEntries(plain));
}

/** What a preview in a run asks for, when a project's rules are changed: the run's own still count over them. */
export function overlaid(lower: Configuration, upper: Configuration): Configuration {
  const names = [...new Set([...Object.keys(lower), ...Object.keys(upper)])];
  const both = names.map((name) => {
    const [under, over] = [own(lower, name) ?? {}, own(upper, name) ?? {}];
    return [name, { ...under, ...over, parameters: { ...under.parameters, ...over.parameters } }] as const;
  });
  return compact(Object.fromEntries(both));
}

/** All of a place that differs from the rules' defaults, with the draft: these very rules, for any run. */
export function standing(view: RulesView, beneath: readonly Rule[], draft: Draft): Configuration {
  const here = view.rules.map((rule) => {
    const moved = rule.parameters.filter((parameter) => parameter.value !== parameter.usual);
    const parameters = Object.fromEntries(moved.map((parameter) => [parameter.name, parameter.value]));
    return [rule.name, { ...(rule.isOn ? {} : { enabled: false }), parameters }] as const;
  });
  return overlaid(compact(Object.fromEntries(here)), spelledOut(draft, beneath));
}

/** Names come from the wire: "constructor" is a name like any other, and not an object's own. */
function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
