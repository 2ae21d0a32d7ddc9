/** What rules would have found, beside what was found at the time: by rule, and alert by alert. */
import type { JSX } from "preact";
import { step, words } from "../../lib/format";
import type { Rule } from "../../lib/rules";
import {
  type Counts,
  type Finding,
  type Trial,
  type TrialRun,
  type When,
  loudRules,
  summaryText,
  tiersText,
  verdictsText,
} from "../../lib/rulesTrial";
import { HealthLight } from "../HealthLight";

interface TrialProps {
  readonly trial: Trial;
  readonly rules: readonly Rule[];
  readonly title: string;
}

export function TrialView({ trial, rules, title }: TrialProps): JSX.Element {
  const order = rules.map((rule) => rule.name);
  const isOne = trial.runs.length === 1;
  return (
    <section class="trial" aria-label={title} data-testid="trial">
      <h3>{title}</h3>
      <p data-testid="trial-summary">{summaryText(trial.total)}</p>
      {!trial.isComplete && (
        <p class="tone-warning">The time was over ({trial.limitS.toFixed(0)} s): not all of the steps were tried.</p>
      )}
      <CountTable counts={trial.counts} order={order} total={trial.total} label="By rule" />
      {trial.runs.map((run) => (
        <RunFindings key={run.run} run={run} order={order} isOpen={isOne} />
      ))}
    </section>
  );
}

interface TableProps {
  readonly counts: ReadonlyMap<string, Counts>;
  readonly order: readonly string[];
  readonly total: Counts;
  readonly label: string;
}

function CountTable({ counts, order, total, label }: TableProps): JSX.Element | null {
  const loud = loudRules(counts, order);
  if (loud.length === 0) return null;
  return (
    <div class="table-scroll">
      <table class="table number" aria-label={label}>
        <thead>
          <tr>
            <th scope="col">rule</th>
            <th scope="col">with these</th>
            <th scope="col">at the time</th>
            <th scope="col">same</th>
            <th scope="col">only now</th>
            <th scope="col">only then</th>
            <th scope="col">judged by people</th>
          </tr>
        </thead>
        <tbody>
          {loud.map(([name, each]) => (
            <CountRow key={name} name={words(name)} counts={each} />
          ))}
          {loud.length > 1 && <CountRow name="all" counts={total} />}
        </tbody>
      </table>
    </div>
  );
}

function CountRow({ name, counts }: { name: string; counts: Counts }): JSX.Element {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{tiersText(counts.now)}</td>
      <td>{tiersText(counts.then)}</td>
      <td>{counts.both}</td>
      <td class={counts.onlyNow > 0 ? "is-told" : ""}>{counts.onlyNow}</td>
      <td class={counts.onlyThen > 0 ? "is-told" : ""}>{counts.onlyThen}</td>
      <td>{verdictsText(counts)}</td>
    </tr>
  );
}

function RunFindings({ run, order, isOpen }: { run: TrialRun; order: readonly string[]; isOpen: boolean }): JSX.Element {
  return (
    <details class="trial-run" open={isOpen} data-testid="trial-run" data-run={run.run}>
      <summary>
        {run.title}{" "}
        <span class="quiet number">
          steps {step(run.firstStep)} to {step(run.lastStep)}
          {run.isComplete ? "" : ", not to its end"}
        </span>{" "}
        {!isOpen && <span class="number">{summaryText(run.total)}</span>}
      </summary>
      {run.failed.map((said) => (
        <p key={said} class="fault">
          {said}
        </p>
      ))}
      {!isOpen && <CountTable counts={run.counts} order={order} total={run.total} label={`${run.title}, by rule`} />}
      <ul class="findings">
        {run.findings.map((finding) => (
          <FindingLine key={`${finding.when} ${finding.rule} ${finding.series} ${finding.step}`} finding={finding} />
        ))}
      </ul>
      {run.leftOut > 0 && <p class="quiet">{run.leftOut} more alerts are counted and not listed.</p>}
    </details>
  );
}

const MARKS: Readonly<Record<When, string>> = { both: "=", "only now": "+", "only then": "−" };
const WHEN_WORDS: Readonly<Record<When, string>> = { both: "both", "only now": "only now", "only then": "only then" };

function FindingLine({ finding }: { finding: Finding }): JSX.Element {
  const { when, severity, rule, component, message, verdict } = finding;
  return (
    <li class="finding" data-testid="finding" data-when={when} data-rule={rule}>
      <span class="finding-when">
        <span aria-hidden="true">{MARKS[when]} </span>
        {WHEN_WORDS[when]}
      </span>
      <HealthLight health={severity} />
      <span class="finding-what">
        <span class="finding-rule">
          {words(rule)} {component ?? ""}
        </span>{" "}
        <span class="quiet number">step {step(finding.step)}</span>
        {verdict !== null && <span class="badge">{verdict === "true" ? "people: true" : "people: false alarm"}</span>}
        <span class="finding-message">{message}</span>
      </span>
    </li>
  );
}
