/**
 * What rules would have found in stored runs (a preview, a backtest), beside what was found when they trained.
 *
 * Rules of this file: two alerts are the same finding when the server says so; nothing is paired here.
 */
import { type Fields, fields, fieldsOrNull, integerOrNull, list, numberOr, oneOf, text, textOrNull } from "./decode";
import { step, words } from "./format";

export interface Progress {
  readonly run: string;
  readonly number: number;
  readonly of: number;
  readonly step: number;
  readonly lastStep: number;
  readonly alerts: number;
}

export interface Counts {
  readonly now: Tiers;
  readonly then: Tiers;
  readonly both: number;
  readonly onlyNow: number;
  readonly onlyThen: number;
  readonly right: Marked;
  readonly wrong: Marked;
}

export interface Tiers {
  readonly critical: number;
  readonly warning: number;
}

/** Alerts that people called so, and how many of them these rules would raise again. */
export interface Marked {
  readonly marked: number;
  readonly still: number;
}

export type When = "both" | "only now" | "only then";

export interface Finding {
  readonly when: When;
  readonly rule: string;
  readonly series: string;
  readonly component: string | null;
  readonly severity: "critical" | "warning";
  readonly step: number;
  readonly message: string;
  readonly verdict: "true" | "false" | null;
}

export interface TrialRun {
  readonly run: string;
  readonly title: string;
  readonly firstStep: number;
  readonly lastStep: number;
  readonly isComplete: boolean;
  readonly counts: ReadonlyMap<string, Counts>;
  readonly total: Counts;
  /** in order of step; of a pair the one of now */
  readonly findings: readonly Finding[];
  readonly leftOut: number;
  readonly failed: readonly string[];
}

export interface Trial {
  readonly counts: ReadonlyMap<string, Counts>;
  readonly total: Counts;
  readonly runs: readonly TrialRun[];
  readonly isComplete: boolean;
  readonly limitS: number;
}

export function progressOf(value: unknown): Progress {
  const f = fields(value);
  return {
    run: text(f["run"]),
    number: numberOr(f["number"], 1),
    of: numberOr(f["of"], 1),
    step: numberOr(f["step"], 0),
    lastStep: numberOr(f["last_step"], 0),
    alerts: numberOr(f["alerts"], 0),
  };
}

export function trialOf(value: unknown): Trial {
  const f = fields(value);
  return {
    counts: countsByRule(f["rules"]),
    total: countsOf(f["total"]),
    runs: list(f["runs"]).map(trialRunOf),
    isComplete: f["complete"] !== false,
    limitS: numberOr(f["limit_s"], 0),
  };
}

function trialRunOf(value: unknown): TrialRun {
  const f = fields(value);
  return {
    run: text(f["run"]),
    title: `${text(f["project"])}/${text(f["name"])}`,
    firstStep: numberOr(f["first_step"], 0),
    lastStep: numberOr(f["last_step"], 0),
    isComplete: f["complete"] !== false,
    counts: countsByRule(f["rules"]),
    total: countsOf(f["total"]),
    findings: findingsOf(list(f["alerts"]).map(fields), list(f["stored"]).map(fields)),
    leftOut: numberOr(f["alerts_left_out"], 0),
    failed: list(f["failed"]).map((each) => {
      const said = fields(each);
      return `rule ${words(text(said["rule"]))} failed: ${text(said["said"])}`;
    }),
  };
}

function countsByRule(value: unknown): ReadonlyMap<string, Counts> {
  return new Map(Object.entries(fields(value)).map(([name, counts]) => [name, countsOf(counts)]));
}

function countsOf(value: unknown): Counts {
  const f = fields(value);
  return {
    now: tiersOf(f["now"]),
    then: tiersOf(f["then"]),
    both: numberOr(f["both"], 0),
    onlyNow: numberOr(f["only_now"], 0),
    onlyThen: numberOr(f["only_then"], 0),
    right: markedOf(f["true"]),
    wrong: markedOf(f["false"]),
  };
}

function tiersOf(value: unknown): Tiers {
  const f = fields(value);
  return { critical: numberOr(f["critical"], 0), warning: numberOr(f["warning"], 0) };
}

function markedOf(value: unknown): Marked {
  const f = fields(value);
  return { marked: numberOr(f["marked"], 0), still: numberOr(f["still"], 0) };
}

/** A pair is told once, by its alert of now; the verdict is that of its alert of then. */
function findingsOf(alerts: readonly Fields[], stored: readonly Fields[]): Finding[] {
  const verdicts = new Map(stored.map((each) => [text(each["id"]), verdictOf(each["verdict"])]));
  const now = alerts.map((each) => {
    const then = textOrNull(each["then"]);
    return findingOf(each, then === null ? "only now" : "both", then === null ? null : (verdicts.get(then) ?? null));
  });
  const then = stored
    .filter((each) => each["now"] !== true)
    .map((each) => findingOf(each, "only then", verdictOf(each["verdict"])));
  return [...now, ...then].sort((a, b) => a.step - b.step);
}

function findingOf(f: Fields, when: When, verdict: Finding["verdict"]): Finding {
  return {
    when,
    rule: text(f["rule"]),
    series: text(f["series"]),
    component: textOrNull(f["component"]),
    severity: oneOf(f["severity"], ["critical", "warning"], "warning"),
    step: integerOrNull(f["step"]) ?? 0,
    message: text(f["message"]),
    verdict,
  };
}

function verdictOf(value: unknown): Finding["verdict"] {
  return value === "true" || value === "false" ? value : null;
}

/** The last line of the stream, or a line before it. */
export function trialLineOf(value: unknown): { readonly progress: Progress } | { readonly trial: Trial } | null {
  const f = fields(value);
  if (fieldsOrNull(f["result"]) !== null) return { trial: trialOf(f["result"]) };
  return fieldsOrNull(f["progress"]) === null ? null : { progress: progressOf(f["progress"]) };
}

// -- words ----------------------------------------------------------------------------------------------------------

/** Rules that found something now or then, in the order given. */
export function loudRules(counts: ReadonlyMap<string, Counts>, order: readonly string[]): [string, Counts][] {
  const rank = new Map(order.map((name, place) => [name, place]));
  return [...counts]
    .filter(([, each]) => each.both + each.onlyNow + each.onlyThen > 0)
    .sort(([a], [b]) => (rank.get(a) ?? Infinity) - (rank.get(b) ?? Infinity));
}

/** "7 alerts with these rules, 5 at the time: 4 are the same, 3 only now, 1 only then." */
export function summaryText({ now, then, both, onlyNow, onlyThen }: Counts): string {
  const [nows, thens] = [now.critical + now.warning, then.critical + then.warning];
  if (nows + thens === 0) return "Nothing: quiet with these rules, and it was quiet at the time.";
  const with_ = `${nows} ${nows === 1 ? "alert" : "alerts"} with these rules, ${thens} at the time`;
  if (onlyNow + onlyThen === 0) return `${with_}: the same ones.`;
  return `${with_}: ${both} the same, ${onlyNow} only now, ${onlyThen} only then.`;
}

/** "1 critical, 2 warnings"; a dash for none. */
export function tiersText({ critical, warning }: Tiers): string {
  const said = [
    ...(critical > 0 ? [`${critical} critical`] : []),
    ...(warning > 0 ? [`${warning} ${warning === 1 ? "warning" : "warnings"}`] : []),
  ];
  return said.length === 0 ? "–" : said.join(", ");
}

/** What becomes of alerts that people have judged: "2 of 2 true kept, 1 of 3 false kept". */
export function verdictsText({ right, wrong }: Counts): string {
  const said = [
    ...(right.marked > 0 ? [`${right.still} of ${right.marked} true kept`] : []),
    ...(wrong.marked > 0 ? [`${wrong.still} of ${wrong.marked} false kept`] : []),
  ];
  return said.join(", ");
}

export function progressText(progress: Progress): string {
  const which = progress.of > 1 ? `run ${progress.number} of ${progress.of}, ` : "";
  const found = progress.alerts === 1 ? "1 alert" : `${progress.alerts} alerts`;
  return `${which}step ${step(progress.step)} of ${step(progress.lastStep)}, ${found} so far`;
}

/** How much of all is done, 0 to 1. */
export function partDone({ number, of, step: at, lastStep }: Progress): number {
  const inRun = lastStep > 0 ? Math.min(1, at / lastStep) : 1;
  return of > 0 ? Math.min(1, (number - 1 + inRun) / of) : 0;
}
