/**
 * The rules that judge a run, as the server tells them, and the words for what is told.
 *
 * Rules of this file: server/lossguard_server/edges/rule_models.py is the definition; what is set here itself (`own`)
 * is what a PUT replaces as a whole, so whoever changes one value sends the others along.
 */
import type { Answer } from "./answer";
import { type Fields, fields, list, numberOr, numberOrNull, oneOf, text, texts } from "./decode";
import { ABSENT, short } from "./format";
import type { RulesHealth } from "./rulesHealth";
import type { Progress, Trial } from "./rulesTrial";

export const SPEAKERS = ["default", "file", "file project", "project", "run"] as const;
export type SetBy = (typeof SPEAKERS)[number];

export interface Parameter {
  readonly name: string;
  readonly text: string;
  readonly unit: string;
  readonly low: number;
  readonly high: number;
  readonly usual: number;
  readonly value: number;
  readonly setBy: SetBy;
}

/** Alerts that people called right and wrong; the share of right ones with its 95 % interval. */
export interface Precision {
  readonly right: number;
  readonly wrong: number;
  readonly share: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

export interface Rule {
  readonly number: string;
  readonly name: string;
  readonly title: string;
  readonly series: string;
  readonly formula: string;
  readonly source: string;
  readonly quiet: string;
  readonly warmUp: number;
  readonly parameters: readonly Parameter[];
  readonly isOn: boolean;
  readonly switchedBy: SetBy;
  readonly precision: Precision;
}

export interface Tuning {
  readonly enabled?: boolean;
  readonly parameters?: Readonly<Record<string, number>>;
}

export type Configuration = Readonly<Record<string, Tuning>>;

export interface RulesView {
  readonly own: Configuration;
  /** in the order of their numbers */
  readonly rules: readonly Rule[];
  /** what is stored here and no longer fits, in sentences */
  readonly ignored: readonly string[];
}

/** Where rules are set: for one run, for a project; `server`: as the configuration file has them. */
export type Place =
  | { readonly kind: "run"; readonly run: string }
  | { readonly kind: "project"; readonly project: string }
  | { readonly kind: "server" };

/** What a backtest changes: the rules' defaults, or the rules of each run. */
export type Over = "defaults" | "run";

/** All that can be asked about rules. */
export interface RulesDesk {
  readonly view: (place: Place) => Promise<Answer<RulesView>>;
  /** instead of what was set there before */
  readonly set: (place: Place, configuration: Configuration) => Promise<Answer<RulesView>>;
  readonly preview: (run: string, configuration: Configuration, watch: Watch) => Promise<Answer<Trial>>;
  readonly backtest: (
    runs: readonly string[],
    configuration: Configuration,
    over: Over,
    watch: Watch,
  ) => Promise<Answer<Trial>>;
  readonly health: () => Promise<Answer<RulesHealth>>;
}

export interface Watch {
  readonly onProgress: (progress: Progress) => void;
  readonly signal: AbortSignal;
}

export function precisionOf(value: unknown): Precision {
  const f = fields(value);
  return {
    right: numberOr(f["true"], 0),
    wrong: numberOr(f["false"], 0),
    share: numberOrNull(f["precision"]),
    low: numberOrNull(f["low"]),
    high: numberOrNull(f["high"]),
  };
}

export function ruleOf(value: unknown): Rule {
  const f = fields(value);
  return {
    number: text(f["number"]),
    name: text(f["name"]),
    title: text(f["title"]),
    series: text(f["series"]),
    formula: text(f["formula"]),
    source: text(f["source"]),
    quiet: text(f["quiet"]),
    warmUp: numberOr(f["warm_up"], 0),
    parameters: list(f["parameters"]).map(parameterOf),
    isOn: f["enabled"] !== false,
    switchedBy: oneOf(f["enabled_by"], SPEAKERS, "default"),
    precision: precisionOf(f["precision"]),
  };
}

function parameterOf(value: unknown): Parameter {
  const f = fields(value);
  const usual = numberOr(f["default"], NaN);
  return {
    name: text(f["name"]),
    text: unmarked(text(f["text"])),
    unit: text(f["unit"]),
    low: numberOr(f["low"], -Infinity),
    high: numberOr(f["high"], Infinity),
    usual,
    value: numberOr(f["value"], usual),
    setBy: oneOf(f["set_by"], SPEAKERS, "default"),
  };
}

/** The rules of a place; also of the answer of GET /api/rules, where nothing is set by people. */
export function rulesViewOf(value: unknown): RulesView {
  const f = fields(value);
  const rules = list(f["rules"] ?? f["items"]).map(ruleOf);
  return { own: configurationOf(f["own"]), rules: inOrder(rules), ignored: texts(f["ignored"]) };
}

function configurationOf(value: unknown): Configuration {
  return Object.fromEntries(Object.entries(fields(value)).map(([name, said]) => [name, tuningOf(fields(said))]));
}

function tuningOf(said: Fields): Tuning {
  const values = Object.entries(fields(said["parameters"])).flatMap(([name, value]) => {
    const number = numberOrNull(value);
    return number === null ? [] : [[name, number] as const];
  });
  return {
    ...(typeof said["enabled"] === "boolean" ? { enabled: said["enabled"] } : {}),
    ...(values.length === 0 ? {} : { parameters: Object.fromEntries(values) }),
  };
}

function inOrder(rules: readonly Rule[]): Rule[] {
  const place = (rule: Rule): number => {
    const digits = rule.number.replace(/^\D+/, "");
    return digits === "" ? Infinity : Number.parseInt(digits, 10);
  };
  return [...rules].sort((a, b) => place(a) - place(b));
}

// -- words ----------------------------------------------------------------------------------------------------------

/** "3 of 4 true: 75 %, 30 to 95 %". */
export function precisionText({ right, wrong, share, low, high }: Precision): string {
  const marked = right + wrong;
  if (marked === 0) return "nobody has judged its alerts yet";
  const counted = `${right} of ${marked} true`;
  if (share === null || low === null || high === null) return counted;
  return `${counted}: ${whole(share)} %, ${whole(low)} to ${whole(high)} %`;
}

function whole(part: number): string {
  return (part * 100).toFixed(0);
}

/** Who said it: "set for this run". */
export function setByText(setBy: SetBy): string {
  switch (setBy) {
    case "default":
      return "default";
    case "file":
      return "set in lossguard.toml";
    case "file project":
      return "set in lossguard.toml for the project";
    case "project":
      return "set for the project";
    case "run":
      return "set for this run";
  }
}

/** "1.01 to 1e6 times". */
export function boundsText({ low, high, unit }: Parameter): string {
  const bounds = Number.isFinite(high) ? `${short(low)} to ${short(high)}` : `from ${short(low)}`;
  return unit === "" ? bounds : `${bounds} ${unit}`;
}

/** A value in a sentence: "2 times". */
export function valueText(value: number | null, unit: string): string {
  if (value === null) return ABSENT;
  return unit === "" ? short(value, 6) : `${short(value, 6)} ${unit}`;
}

/** Markdown's code marks are for docs/rules.md. */
export function unmarked(said: string): string {
  return said.replaceAll("`", "");
}

export function warmUpText(samples: number): string {
  return samples === 0 ? "judges from the first sample" : `learns from ${samples} samples before it judges`;
}
