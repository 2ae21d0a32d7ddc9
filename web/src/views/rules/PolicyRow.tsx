/** One rule's policy in a line: what happens by itself, how much of its budget is used, who set it, what holds it. */
import type { JSX } from "preact";
import { type PolicyLine, policyText, usedText } from "../../lib/policies";
import { setByText } from "../../lib/rules";

interface RowProps {
  readonly line: PolicyLine;
  readonly title: string;
  /** null where it cannot be changed now */
  readonly onChange: (() => void) | null;
}

export function PolicyRow({ line, title, onChange }: RowProps): JSX.Element {
  const { rule, policy, isOwn, remark } = line;
  const by = policy !== null ? setByText(policy.setBy) : isOwn ? "switched off here" : "";
  return (
    <li class="policy-row" data-testid="policy-row" data-rule={rule} data-deed={policy?.deed ?? ""}>
      <span class="policy-what">
        <strong>{title}</strong> {policyText(policy)}
      </span>
      <span class="policy-used number" data-testid="policy-used">
        {usedText(line)}
      </span>
      <span class="quiet">{by}</span>
      <button
        type="button"
        class="button button-small"
        data-testid={`policy-change-${rule}`}
        aria-label={`change what happens by itself when ${title} fires`}
        disabled={onChange === null}
        onClick={() => onChange?.()}
      >
        change…
      </button>
      {remark !== "" && (
        <span class="policy-remark tone-warning" data-testid="policy-remark">
          {remark}
        </span>
      )}
    </li>
  );
}
