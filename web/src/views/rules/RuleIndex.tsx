/** Every rule in a line: its number, whether it judges, what people said of it, whether it is changed. */
import type { JSX } from "preact";
import type { Rule } from "../../lib/rules";
import type { RulesPanel } from "./panel";

interface IndexProps {
  readonly panel: RulesPanel;
  readonly rules: readonly Rule[];
  /** the name of the rule beside the list */
  readonly shown: string | undefined;
}

export function RuleIndex({ panel, rules, shown }: IndexProps): JSX.Element {
  const pick = (name: string): void => {
    panel.picked.value = name;
    panel.tried.value = null;
  };
  return (
    <ul class="rule-index" aria-label="Rules" data-testid="rule-index">
      {rules.map((rule) => (
        <li key={rule.name}>
          <button
            type="button"
            class="rule-line"
            aria-current={rule.name === shown}
            data-testid={`rule-line-${rule.name}`}
            onClick={() => pick(rule.name)}
          >
            <span class="rule-number number">{rule.number}</span>
            <span class="rule-title">{rule.title}</span>
            <span class="rule-facts number">{factsOf(panel, rule).join(" · ")}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

/** Only what is not as usual. */
function factsOf(panel: RulesPanel, rule: Rule): string[] {
  const { share } = rule.precision;
  const isMoved = rule.switchedBy !== "default" || rule.parameters.some((parameter) => parameter.setBy !== "default");
  return [
    ...(share === null ? [] : [`${(share * 100).toFixed(0)} % true`]),
    ...(Object.hasOwn(panel.draft.value, rule.name) ? ["edited"] : isMoved ? ["set"] : []),
    ...(rule.isOn ? [] : ["off"]),
  ];
}
