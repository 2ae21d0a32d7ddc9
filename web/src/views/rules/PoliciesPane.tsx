/** What the server does by itself when a rule fires: what is in force, how much of it is used, and the form to set it. */
import type { JSX } from "preact";
import type { Run } from "../../lib/models";
import { lineOf, linesOf, draftOf } from "../../lib/policies";
import type { Rule } from "../../lib/rules";
import { canControl } from "../../lib/state";
import { usePage } from "../context";
import { PolicyForm } from "./PolicyForm";
import { PolicyRow } from "./PolicyRow";
import type { RulesPanel } from "./panel";
import type { PoliciesBoard } from "./policies";

interface PaneProps {
  readonly panel: RulesPanel;
  readonly board: PoliciesBoard;
  readonly run: Run;
}

export function PoliciesPane({ panel, board, run }: PaneProps): JSX.Element {
  const view = board.views.value[panel.scope.value];
  const rules = panel.view.value?.rules ?? [];
  return (
    <div class="desk-pane desk-scroll policies" data-testid="policies">
      <p class="quiet">
        Nothing happens by itself unless it is set here, rule by rule, and only what the training script allows. What the
        server does stands among the commands as any other, and can be taken back.
      </p>
      {view === null ? <p class="quiet">{board.fault.value === null ? "Loading…" : ""}</p> : <Lines {...{ panel, board, run, rules }} />}
      {board.fault.value !== null && board.fault.value !== "" && (
        <p class="fault" role="alert" data-testid="policies-fault">
          {board.fault.value}
        </p>
      )}
      <p class="number" role="status" data-testid="policies-said">
        {board.said.value}
      </p>
    </div>
  );
}

function Lines({ panel, board, run, rules }: PaneProps & { rules: readonly Rule[] }): JSX.Element | null {
  const { state } = usePage();
  const scope = panel.scope.value;
  const view = board.views.value[scope];
  if (view === null) return null;
  const lines = linesOf(view, rules.map((rule) => rule.name));
  const draft = board.draft.value;
  const maySet = canControl(state.value) && state.value.link === "up" && !board.isSetting.value;
  const [first] = rules;
  return (
    <>
      {view.ignored.length > 0 && (
        <p class="tone-warning">Of what is set here, this no longer fits and does not count: {view.ignored.join(" ")}</p>
      )}
      {lines.length === 0 && (
        <p data-testid="policies-none">
          {scope === "run" ? "In this run" : "In this project"} nothing happens by itself.
        </p>
      )}
      <ul class="policy-rows" aria-label="Policies">
        {lines.map((line) => (
          <PolicyRow
            key={line.rule}
            line={line}
            title={titleOf(rules, line.rule)}
            onChange={maySet && draft === null ? () => board.edit(draftOf(line)) : null}
          />
        ))}
      </ul>
      {draft === null && first !== undefined && (
        <button
          type="button"
          class="button"
          data-testid="policy-add"
          disabled={!maySet}
          title="Nothing is set before you press Set"
          onClick={() => board.edit(draftOf(lineOf(view, (rules.find(isUnset(lines)) ?? first).name)))}
        >
          Let the server act…
        </button>
      )}
      {draft !== null && <PolicyForm {...{ board, draft, view, rules, run, scope, maySet }} />}
    </>
  );
}

function isUnset(lines: readonly { readonly rule: string }[]): (rule: Rule) => boolean {
  return (rule) => lines.every((line) => line.rule !== rule.name);
}

/** As a person knows it; of a rule that is not known any more its name. */
function titleOf(rules: readonly Rule[], name: string): string {
  return rules.find((rule) => rule.name === name)?.title ?? name;
}
