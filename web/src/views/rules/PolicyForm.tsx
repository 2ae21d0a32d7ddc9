/** A policy that a person is about to set: of which rule, what, how often; what will happen, said before it is set. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Run } from "../../lib/models";
import {
  type PoliciesView,
  type PolicyDraft,
  choicesFor,
  doneText,
  draftOf,
  faultOfDraft,
  hasPace,
  isActing,
  lineOf,
  promiseText,
  refusedText,
} from "../../lib/policies";
import type { Rule } from "../../lib/rules";
import { isOver } from "../../lib/state";
import type { Scope } from "./panel";
import type { PoliciesBoard } from "./policies";

interface FormProps {
  readonly board: PoliciesBoard;
  readonly draft: PolicyDraft;
  readonly view: PoliciesView;
  readonly rules: readonly Rule[];
  readonly run: Run;
  readonly scope: Scope;
  readonly maySet: boolean;
}

export function PolicyForm({ board, draft, view, rules, run, scope, maySet }: FormProps): JSX.Element {
  const title = rules.find((rule) => rule.name === draft.rule)?.title ?? draft.rule;
  const where = scope === "run" ? "this run" : `project ${run.project}`;
  const fault = faultOfDraft(draft);
  const refused = refusedText(draft, run.controls);
  const form = useRef<HTMLFormElement>(null);
  // The button that opened it is off now; on a phone the form is below the screen.
  useEffect(() => {
    form.current?.querySelector("select")?.focus();
    form.current?.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <form
      ref={form}
      class="proposal policy-form"
      data-testid="policy-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (maySet && fault === null) void board.set(scope, doneText(draft, title, where, scope === "run" && isOver(run)));
      }}
    >
      <div class="policy-fields">
        <RuleAndDeed board={board} draft={draft} view={view} rules={rules} />
        {isActing(draft) && <Terms board={board} draft={draft} />}
      </div>
      {fault === null ? (
        <p class="promise" data-testid="policy-promise">
          {promiseText(draft, title)}
        </p>
      ) : (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      {refused !== null && <p class="tone-warning">{refused}</p>}
      <div class="proposal-deeds">
        <button
          type="submit"
          class="button button-main"
          data-testid="policy-set"
          disabled={!maySet || fault !== null}
        >
          Set for {where}
        </button>
        <button type="button" class="button button-small" data-testid="policy-forget" onClick={() => board.edit(null)}>
          forget it
        </button>
      </div>
    </form>
  );
}

type PartProps = Pick<FormProps, "board" | "draft">;

function RuleAndDeed({ board, draft, view, rules }: PartProps & Pick<FormProps, "view" | "rules">): JSX.Element {
  const isKnown = rules.some((rule) => rule.name === draft.rule);
  return (
    <>
      <label>
        when
        <select
          class="field"
          data-testid="policy-rule"
          value={draft.rule}
          onChange={(event) => board.edit(draftOf(lineOf(view, event.currentTarget.value)))}
        >
          {!isKnown && <option value={draft.rule}>{draft.rule}</option>}
          {rules.map((rule) => (
            <option key={rule.name} value={rule.name}>
              {rule.number} {rule.title}
            </option>
          ))}
        </select>
      </label>
      <label>
        fires, do
        <select
          class="field"
          data-testid="policy-do"
          value={draft.deed}
          onChange={(event) => board.edit({ ...draft, deed: event.currentTarget.value })}
        >
          {choicesFor(draft.rule, Object.hasOwn(view.own, draft.rule)).map(([deed, words]) => (
            <option key={deed} value={deed}>
              {words}
            </option>
          ))}
        </select>
      </label>
    </>
  );
}

/** How often, and upon which alerts. */
function Terms({ board, draft }: PartProps): JSX.Element {
  return (
    <>
      <label>
        at most
        <input
          class="field number"
          type="text"
          inputMode="numeric"
          aria-label="how often in a run"
          data-testid="policy-budget"
          value={draft.budget}
          onInput={(event) => board.edit({ ...draft, budget: event.currentTarget.value })}
        />
        times in a run,
      </label>
      {hasPace(draft.deed) && (
        <label>
          once in
          <input
            class="field number"
            type="text"
            inputMode="numeric"
            aria-label="seconds between two actions"
            data-testid="policy-pause"
            value={draft.pauseS}
            onInput={(event) => board.edit({ ...draft, pauseS: event.currentTarget.value })}
          />
          seconds
        </label>
      )}
      <label class="check">
        <input
          type="checkbox"
          data-testid="policy-warnings"
          checked={draft.severity === "warning"}
          onChange={(event) =>
            board.edit({ ...draft, severity: event.currentTarget.checked ? "warning" : "critical" })
          }
        />
        warnings too
      </label>
    </>
  );
}
