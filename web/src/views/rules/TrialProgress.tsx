/** How far a preview or a backtest is, and a way to give it up. */
import type { JSX } from "preact";
import { partDone, progressText } from "../../lib/rulesTrial";
import type { RulesPanel } from "./panel";

export function TrialProgress({ panel }: { panel: RulesPanel }): JSX.Element | null {
  const progress = panel.progress.value;
  if (progress === null) return null;
  const isBegun = progress === "begun";
  return (
    <div class="trial-progress" role="status" data-testid="trial-progress">
      <progress max={1} {...(isBegun ? {} : { value: partDone(progress) })} aria-label="done so far" />
      <span class="number">{isBegun ? "begun" : progressText(progress)}</span>
      <button type="button" class="button button-small" onClick={() => panel.cancel()}>
        give up
      </button>
    </div>
  );
}
