/**
 * Whether the rules themselves are well: how far they are behind, and which have failed.
 *
 * Rules of this file: a lag below LATE_S is how the engine works (it judges in windows) and no news.
 */
import { fields, integerOrNull, list, numberOr, text } from "./decode";
import { duration, step, words } from "./format";

export const LATE_S = 5;

export interface FailedRule {
  readonly run: string;
  readonly rule: string;
  readonly said: string;
  readonly sinceStep: number | null;
}

export interface RulesHealth {
  readonly lagS: number;
  readonly laggingRuns: number;
  readonly judgedRows: number;
  readonly failed: readonly FailedRule[];
}

export function rulesHealthOf(value: unknown): RulesHealth {
  const f = fields(value);
  return {
    lagS: numberOr(f["lag_s"], 0),
    laggingRuns: numberOr(f["lagging_runs"], 0),
    judgedRows: numberOr(f["judged_rows"], 0),
    failed: list(f["failed"]).map((each) => {
      const said = fields(each);
      return {
        run: text(said["run"]),
        rule: text(said["rule"]),
        said: text(said["said"]),
        sinceStep: integerOrNull(said["since_step"]),
      };
    }),
  };
}

/** "rules are 12 s behind"; null when they keep up. */
export function lateText(health: RulesHealth): string | null {
  return health.lagS > LATE_S ? `rules are ${duration(health.lagS)} behind` : null;
}

/** "rule loss jump failed at step 100: ...". */
export function failedText(failed: FailedRule): string {
  const since = failed.sinceStep === null ? "" : ` at step ${step(failed.sinceStep)}`;
  return `rule ${words(failed.rule)} failed${since}: ${failed.said}`;
}

/** What a person who looks at this run should know, the worst first; nothing when all is well. */
export function troublesOf(health: RulesHealth, run: string): string[] {
  const late = lateText(health);
  const failed = health.failed.filter((each) => each.run === run).map(failedText);
  return late === null ? failed : [...failed, late];
}

/** The same in two or three words, for the line at the top. */
export function badgeText(health: RulesHealth, run: string): string | null {
  const failed = health.failed.filter((each) => each.run === run);
  if (failed.length > 0) return failed.length === 1 ? "a rule failed" : `${failed.length} rules failed`;
  return lateText(health);
}
