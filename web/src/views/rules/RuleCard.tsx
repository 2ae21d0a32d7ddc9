/** One rule: what it judges, by which formula, why it is quiet, what people said of it, and its parameters. */
import type { JSX } from "preact";
import { type PoliciesView, byItselfText, lineOf } from "../../lib/policies";
import { type Rule, precisionText, setByText, unmarked, warmUpText } from "../../lib/rules";
import { switched } from "../../lib/rulesDraft";
import { ParameterRow } from "./ParameterRow";
import type { RulesPanel } from "./panel";

interface CardProps {
  readonly panel: RulesPanel;
  readonly rule: Rule;
  /** null until it is known */
  readonly policies: PoliciesView | null;
}

export function RuleCard({ panel, rule, policies }: CardProps): JSX.Element {
  return (
    <section class="rule-card" aria-label={rule.title} data-testid="rule-card" data-rule={rule.name}>
      <header class="rule-head">
        <h3>
          <span class="number quiet">{rule.number}</span> {rule.title}
        </h3>
        <code class="rule-name">{rule.name}</code>
        <OnOff panel={panel} rule={rule} />
      </header>
      <dl class="rule-text">
        <div>
          <dt>judges</dt>
          <dd>
            {unmarked(rule.series)}; {warmUpText(rule.warmUp)}
          </dd>
        </div>
        <div>
          <dt>fires when</dt>
          <dd>by default: {unmarked(rule.formula)}</dd>
        </div>
        <div>
          <dt>is quiet, because</dt>
          <dd>{unmarked(rule.quiet)}</dd>
        </div>
        <div>
          <dt>people said</dt>
          <dd class="number" data-testid="rule-precision">
            {precisionText(rule.precision)}
          </dd>
        </div>
        {policies !== null && (
          <div>
            <dt>by itself</dt>
            <dd data-testid="rule-policy">{byItselfText(lineOf(policies, rule.name))}</dd>
          </div>
        )}
        <div>
          <dt>source</dt>
          <dd class="quiet">{rule.source}</dd>
        </div>
      </dl>
      <Parameters panel={panel} rule={rule} />
    </section>
  );
}

/** A check box that says by whom it is as it is, and what a press would change. */
function OnOff({ panel, rule }: { panel: RulesPanel; rule: Rule }): JSX.Element {
  const said = Object.hasOwn(panel.draft.value, rule.name) ? panel.draft.value[rule.name]?.enabled : undefined;
  const below = panel.beneath.value.find((each) => each.name === rule.name)?.isOn ?? true;
  const isOn = said === undefined ? rule.isOn : (said ?? below);
  const isOwn = rule.switchedBy === panel.scope.value && said === undefined;
  return (
    <span class="rule-switch">
      <label>
        <input
          type="checkbox"
          role="switch"
          data-testid="rule-switch"
          checked={isOn}
          onChange={(event) => panel.edit(switched(panel.draft.value, rule, event.currentTarget.checked))}
        />
        {isOn ? "on" : "off"}
      </label>
      <span class="quiet">{said === undefined ? setByText(rule.switchedBy) : "not set yet"}</span>
      {isOwn && (
        <button
          type="button"
          class="button button-small"
          aria-label={`reset the switch of ${rule.title}`}
          onClick={() => panel.edit(switched(panel.draft.value, rule, null))}
        >
          reset
        </button>
      )}
    </span>
  );
}

function Parameters({ panel, rule }: { panel: RulesPanel; rule: Rule }): JSX.Element {
  if (rule.parameters.length === 0) return <p class="quiet">It has no parameters.</p>;
  return (
    <div class="params" role="table" aria-label={`Parameters of ${rule.title}`}>
      <div class="param param-head" role="row">
        <span role="columnheader">parameter</span>
        <span role="columnheader">value</span>
        <span role="columnheader">allowed, default</span>
        <span role="columnheader">by whom</span>
      </div>
      {rule.parameters.map((parameter) => (
        <ParameterRow key={parameter.name} panel={panel} rule={rule} parameter={parameter} />
      ))}
    </div>
  );
}
