/**
 * What the server may do by itself when an alert begins to fire, and the words for it.
 *
 * Rules of this file: pure. server/lossguard_server/edges/policies.py is the definition; a policy is of one rule, and a
 * PUT replaces all that is set at a place, so what is set there (`own`) is sent along as it came.
 */
import type { Answer } from "./answer";
import { type Fields, fields, fieldsOrNull, integerOrNull, numberOr, oneOf, text, texts } from "./decode";
import { words } from "./format";
import { type Place, SPEAKERS, type SetBy } from "./rules";

/** By deed: what a person picks, what the server then does, and the command that the script must allow for it. */
const DEEDS: Readonly<Record<string, { readonly pick: string; readonly does: string; readonly kind: string | null }>> = {
  lower_weight: {
    pick: "lower the weight",
    does: "lowers the weight that the alert's remedy names",
    kind: "set_weight",
  },
  hold_stage: { pick: "hold the stage", does: "holds the stage", kind: "hold_stage" },
  checkpoint: { pick: "write a checkpoint", does: "asks for a checkpoint", kind: "checkpoint" },
  pause: { pick: "pause the run", does: "pauses the run", kind: "pause" },
  rollback: { pick: "roll back", does: "rolls back to before the alert's first step", kind: "rollback" },
  skip: { pick: "leave it to the guard", does: "leaves the steps to the guard and notes that", kind: null },
};
const SKIP = "skip";
/** The one rule whose steps the guard keeps out. */
const GUARDED = "nonfinite";

/** Nothing, whatever is set further away. */
export const OFF = "off";
/** Not set here: what is set further away counts. */
export const AS_BELOW = "";

const SEVERITIES = ["critical", "warning"] as const;
export type Severity = (typeof SEVERITIES)[number];

export const BUDGET_MAX = 100;
const PAUSE_MAX_S = 7 * 24 * 3600;

export interface Policy {
  readonly deed: string;
  readonly budget: number;
  /** from which on it acts */
  readonly severity: Severity;
  /** at most one action in so many seconds */
  readonly pauseS: number;
  readonly setBy: SetBy;
}

type ByRule<T> = Readonly<Record<string, T>>;

export interface PoliciesView {
  /** what is set here itself, as it is stored */
  readonly own: ByRule<Fields>;
  /** what is in force */
  readonly policies: ByRule<Policy>;
  readonly ignored: readonly string[];
  /** how much of each budget; null of a project, whose runs have one each */
  readonly used: ByRule<number> | null;
  /** why the training script lets one do nothing */
  readonly refused: ByRule<string>;
  /** why one has not acted yet upon an alert that fires */
  readonly waiting: ByRule<string>;
}

export type PolicyPlace = Exclude<Place, { readonly kind: "server" }>;

export interface PoliciesDesk {
  readonly view: (place: PolicyPlace) => Promise<Answer<PoliciesView>>;
  /** instead of what was set there before */
  readonly set: (place: PolicyPlace, own: ByRule<Fields>) => Promise<Answer<PoliciesView>>;
}

export function policiesViewOf(value: unknown): PoliciesView {
  const f = fields(value);
  const used = fieldsOrNull(f["used"]);
  return {
    own: mapped(f["own"], fields),
    policies: mapped(f["policies"], policyOf),
    ignored: texts(f["ignored"]),
    used: used === null ? null : mapped(used, (count) => integerOrNull(count) ?? 0),
    refused: mapped(f["refused"], text),
    waiting: mapped(f["waiting"], text),
  };
}

function mapped<T>(value: unknown, read: (each: unknown) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(fields(value)).map(([rule, each]) => [rule, read(each)]));
}

function policyOf(value: unknown): Policy {
  const f = fields(value);
  return {
    deed: text(f["do"]),
    budget: integerOrNull(f["budget"]) ?? 0,
    severity: oneOf(f["severity"], SEVERITIES, "critical"),
    pauseS: numberOr(f["pause_s"], 0),
    setBy: oneOf(f["set_by"], SPEAKERS, "default"),
  };
}

/** A rule of which something is worth a line. */
export interface PolicyLine {
  readonly rule: string;
  /** null: nothing happens by itself */
  readonly policy: Policy | null;
  /** null of a project */
  readonly used: number | null;
  readonly isOwn: boolean;
  /** why it does nothing, or not yet; empty where nothing holds it */
  readonly remark: string;
}

/** What is in force, what is switched off here, and what acted before it was taken back; in the order of `rules`. */
export function linesOf(view: PoliciesView, rules: readonly string[]): PolicyLine[] {
  const acted = Object.entries(view.used ?? {}).filter(([, count]) => count > 0);
  const named = new Set([...Object.keys(view.policies), ...Object.keys(view.own), ...acted.map(([rule]) => rule)]);
  const place = (rule: string): number => (rules.includes(rule) ? rules.indexOf(rule) : Infinity);
  return [...named].sort((a, b) => place(a) - place(b) || Number(a > b) - Number(a < b)).map((rule) => lineOf(view, rule));
}

export function lineOf(view: PoliciesView, rule: string): PolicyLine {
  const refused = own(view.refused, rule) ?? "";
  const waiting = own(view.waiting, rule) ?? "";
  return {
    rule,
    policy: own(view.policies, rule) ?? null,
    used: view.used === null ? null : (own(view.used, rule) ?? 0),
    isOwn: Object.hasOwn(view.own, rule),
    remark: refused !== "" ? `It does nothing: ${refused}` : waiting === "" ? "" : `It waits: ${waiting}`,
  };
}

// -- what a person is about to set ----------------------------------------------------------------------------------

/** As typed: nothing that a person wrote is lost or corrected. */
export interface PolicyDraft {
  readonly rule: string;
  /** a deed, OFF, or AS_BELOW */
  readonly deed: string;
  readonly budget: string;
  readonly severity: Severity;
  readonly pauseS: string;
}

/** The form of a rule as it stands; of one without a policy the least: one pause, when it is critical. */
export function draftOf({ rule, policy }: PolicyLine): PolicyDraft {
  return {
    rule,
    deed: policy?.deed ?? "pause",
    budget: String(policy?.budget ?? 1),
    severity: policy?.severity ?? "critical",
    pauseS: String(policy?.pauseS ?? 600),
  };
}

/** What can be picked for a rule: [deed, words]. */
export function choicesFor(rule: string, isOwn: boolean): (readonly [deed: string, words: string])[] {
  const deeds = Object.entries(DEEDS).filter(([deed]) => deed !== SKIP || rule === GUARDED);
  return [
    ...deeds.map(([deed, { pick }]) => [deed, pick] as const),
    [OFF, "nothing"],
    ...(isOwn ? [[AS_BELOW, "what is set further away"] as const] : []),
  ];
}

export function isActing(draft: PolicyDraft): boolean {
  return draft.deed !== OFF && draft.deed !== AS_BELOW;
}

/** What the guard does is no action, so no time must lie between two of them. */
export function hasPace(deed: string): boolean {
  return deed !== SKIP;
}

/** What is wrong with what was typed, in one sentence; null when nothing is. */
export function faultOfDraft(draft: PolicyDraft): string | null {
  if (!isActing(draft)) return null;
  const budget = numberIn(draft.budget);
  if (!Number.isInteger(budget) || budget < 1 || budget > BUDGET_MAX)
    return `How often is a whole number, 1 to ${BUDGET_MAX}.`;
  if (!hasPace(draft.deed)) return null;
  const pauseS = numberIn(draft.pauseS);
  return pauseS >= 0 && pauseS <= PAUSE_MAX_S ? null : "The time between two actions is 0 to 604800 seconds.";
}

function numberIn(typed: string): number {
  return typed.trim() === "" ? NaN : Number(typed);
}

/** All that is set at the place, with the draft: the body of a PUT. Only of a sound draft. */
export function withPolicy(set: ByRule<Fields>, draft: PolicyDraft): ByRule<Fields> {
  const others = Object.fromEntries(Object.entries(set).filter(([rule]) => rule !== draft.rule));
  if (draft.deed === AS_BELOW) return others;
  if (draft.deed === OFF) return { ...others, [draft.rule]: { do: OFF } };
  const { deed, severity } = draft;
  const pace = hasPace(deed) ? { pause_s: numberIn(draft.pauseS) } : {};
  return { ...others, [draft.rule]: { do: deed, budget: numberIn(draft.budget), severity, ...pace } };
}

// -- words ----------------------------------------------------------------------------------------------------------

/** What happens by itself: "pauses the run, at most 3 times in a run, at most once in 10 min; upon critical alerts". */
export function policyText(policy: Omit<Policy, "setBy"> | null): string {
  if (policy === null) return "nothing";
  const does = DEEDS[policy.deed]?.does ?? words(policy.deed);
  const often = policy.budget === 1 ? "once in a run" : `at most ${policy.budget} times in a run`;
  const pace = paceText(policy.deed, policy.budget, policy.pauseS);
  return `${does}, ${often}${pace}; upon ${policy.severity === "critical" ? "critical alerts" : "warnings too"}`;
}

function paceText(deed: string, budget: number, pauseS: number): string {
  if (budget === 1 || pauseS === 0 || !hasPace(deed)) return "";
  const [size, unit] = pauseS % 3600 === 0 ? [3600, "h"] : pauseS % 60 === 0 ? [60, "min"] : [1, "s"];
  return `, at most once in ${pauseS / size} ${unit}`;
}

/** "1 of 3 used"; empty where it is not known. */
export function usedText({ policy, used }: PolicyLine): string {
  if (used === null) return "";
  if (policy === null) return used === 0 ? "" : `acted ${used === 1 ? "once" : `${used} times`} before`;
  return used >= policy.budget ? `${used} of ${policy.budget} used: it acts no more` : `${used} of ${policy.budget} used`;
}

/** A rule's policy in one sentence, beside what else is known of the rule. */
export function byItselfText(line: PolicyLine): string {
  const does = line.policy === null ? "nothing happens" : `the server ${policyText(line.policy)}`;
  const used = usedText(line);
  return `${does}${used === "" ? "" : `; ${used}`}${line.remark === "" ? "" : `. ${line.remark}`}`;
}

/** What will happen if this is set. Only of a sound draft. */
export function promiseText(draft: PolicyDraft, title: string): string {
  if (draft.deed === AS_BELOW)
    return `For “${title}” what is set further away will count again; nothing will happen if nothing is.`;
  if (draft.deed === OFF) return `When “${title}” fires, nothing will happen by itself, whatever is set further away.`;
  const which = draft.severity === "critical" ? "a critical alert" : "an alert";
  const budget = numberIn(draft.budget);
  const often = budget === 1 ? "once in a run" : `at most ${budget} times in a run`;
  const pace = paceText(draft.deed, budget, numberIn(draft.pauseS));
  const does = DEEDS[draft.deed]?.does ?? words(draft.deed);
  return `When ${which} of “${title}” begins to fire, the server ${does} without asking anybody: ${often}${pace}. Alerts that fire already are left alone.`;
}

/** What was set, for the line that stays. */
export function doneText(draft: PolicyDraft, title: string, where: string, isRunOver = false): string {
  if (draft.deed === AS_BELOW) return `Taken away for ${where}: ${title}. What is set further away counts.`;
  const pick = DEEDS[draft.deed]?.pick ?? "nothing";
  const often = isActing(draft) ? `, ${draft.budget.trim() === "1" ? "once" : `at most ${draft.budget.trim()} times`} in a run` : "";
  const when = isRunOver ? "The run is over: it counts if the run goes on." : "It counts from now on.";
  return `Set for ${where}: ${title} → ${pick}${often}. ${when}`;
}

/** Why a run's script would let it do nothing, as far as its controls say; null where they do not. */
export function refusedText(draft: PolicyDraft, controls: readonly string[]): string | null {
  const kind = DEEDS[draft.deed]?.kind ?? null;
  if (kind === null || controls.includes(kind)) return null;
  return `The training script of this run does not allow “${words(kind)}”: here nothing would happen.`;
}

const POLICY = "policy:";

/** Of a command that a policy gave: which, and what it says of itself; null of all others. */
export function policyOfCommand(actor: string, reason: string | null): string | null {
  if (!actor.startsWith(POLICY)) return null;
  return reason ?? `The policy for ${actor.slice(POLICY.length)} gave it.`;
}

function own<T>(record: ByRule<T>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
