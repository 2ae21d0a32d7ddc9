/** What is changed and not set yet, and what can be done with it: try it, set it, forget it. */
import type { JSX } from "preact";
import type { Run } from "../../lib/models";
import type { Change } from "../../lib/rulesDraft";
import { NO_DRAFT } from "../../lib/rulesDraft";
import { canControl, isOver } from "../../lib/state";
import { usePage } from "../context";
import { TrialProgress } from "./TrialProgress";
import type { RulesPanel } from "./panel";

const MOST_NAMED = 4;

export function RulesFoot({ panel, run, isSetter }: { panel: RulesPanel; run: Run; isSetter: boolean }): JSX.Element {
  const changes = panel.changes.value;
  return (
    <footer class="desk-foot">
      <TrialProgress panel={panel} />
      {panel.fault.value !== null && panel.fault.value !== "" && (
        <p class="fault" role="alert" data-testid="rules-fault">
          {panel.fault.value}
        </p>
      )}
      <p class="desk-said number" role="status" data-testid="rules-said">
        {panel.said.value ?? (changes.length === 0 ? "Nothing is changed." : `Not set yet: ${changesText(changes)}`)}
      </p>
      {isSetter && <Deeds panel={panel} run={run} />}
    </footer>
  );
}

function Deeds({ panel, run }: { panel: RulesPanel; run: Run }): JSX.Element {
  const { state } = usePage();
  const changes = panel.changes.value;
  const isBusy = panel.isSetting.value || panel.progress.value !== null;
  const isReady = changes.length > 0 && panel.isSound.value && !isBusy;
  const maySet = canControl(state.value) && state.value.link === "up";
  const where = panel.scope.value === "run" ? "this run" : `project ${panel.project}`;
  const hasOwn = Object.keys(panel.view.value?.own ?? {}).length > 0;
  return (
    <div class="desk-deeds">
      {hasOwn && changes.length === 0 && (
        <button
          type="button"
          class="button"
          data-testid="rules-reset-all"
          disabled={!maySet || isBusy}
          title="Nothing is set before you press Set"
          onClick={() => panel.resetAll()}
        >
          Reset all of {where}…
        </button>
      )}
      <button
        type="button"
        class="button"
        data-testid="rules-forget"
        disabled={changes.length === 0 || isBusy}
        onClick={() => panel.edit(NO_DRAFT)}
      >
        Forget
      </button>
      <button
        type="button"
        class="button"
        data-testid="rules-preview"
        disabled={!isReady}
        title="What this run's steps would have brought with these changes; nothing is set"
        onClick={() => void panel.preview()}
      >
        Preview
      </button>
      <button
        type="button"
        class="button button-main"
        data-testid="rules-set"
        disabled={!isReady || !maySet}
        onClick={() => void panel.set(setText(changes, where, panel.scope.value === "run" && isOver(run)))}
      >
        Set for {where}
      </button>
    </div>
  );
}

/** "loss_jump factor 1.5 → 2". */
function changesText(changes: readonly Change[]): string {
  const named = changes
    .slice(0, MOST_NAMED)
    .map(({ rule, parameter, from, to }) => `${rule}${parameter === null ? "" : ` ${parameter}`} ${from} → ${to}`);
  const more = changes.length - named.length;
  return `${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function setText(changes: readonly Change[], where: string, isRunOver: boolean): string {
  const when = isRunOver ? "The run is over: it counts if the run goes on." : "It counts from the next step on.";
  return `Set for ${where}: ${changesText(changes)}. ${when}`;
}
