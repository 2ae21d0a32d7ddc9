/** The rules of a run: what each judges and how well, its parameters, what others would find, what happens by itself. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import type { Run } from "../../lib/models";
import type { RulesHealth } from "../../lib/rulesHealth";
import { fullNameOf } from "../../lib/runNames";
import { canControl } from "../../lib/state";
import { Dialog } from "../Dialog";
import { usePage } from "../context";
import { BacktestPane } from "./BacktestPane";
import { EngineLine } from "./EngineLine";
import { PoliciesPane } from "./PoliciesPane";
import { RuleCard } from "./RuleCard";
import { RuleIndex } from "./RuleIndex";
import { RulesFoot } from "./RulesFoot";
import { TrialView } from "./TrialView";
import { RulesPanel } from "./panel";
import { PoliciesBoard } from "./policies";
import { usePolicies } from "./usePolicies";

const TABS = ["Rules", "Backtest", "Policies"] as const;
type Tab = (typeof TABS)[number];

export interface RulesDialogProps {
  readonly run: Run;
  readonly health: RulesHealth | null;
  readonly onClose: () => void;
}

export function RulesDialog({ run, health, onClose }: RulesDialogProps): JSX.Element {
  const { desks, state } = usePage();
  const panel = useMemo(() => new RulesPanel(desks.rules, run.id, run.project), [desks, run.id, run.project]);
  const board = useMemo(() => new PoliciesBoard(desks.policies, run.id, run.project), [desks, run.id, run.project]);
  const tab = useSignal<Tab>("Rules");
  usePolicies(board, panel.scope.value, state.value.link === "up");
  useEffect(() => {
    panel.load().catch(console.error);
    return () => panel.cancel();
  }, [panel]);
  return (
    <Dialog title={`Rules of ${fullNameOf(run)}`} isWide onClose={onClose}>
      <div class="desk" data-testid="rules-panel">
        <EngineLine health={health} />
        {!canControl(state.value) && (
          <p class="view-only" data-testid="rules-view-only">
            View only: this token has no control scope.{" "}
            {tab.value === "Policies" ? "Policies can be read here, not set." : "Values can be tried here, not set."}
          </p>
        )}
        <div class="desk-bar">
          <Tabs panel={panel} tab={tab.value} onPick={(picked) => (tab.value = picked)} />
          <ScopeChoice panel={panel} project={run.project} isHeld={board.draft.value !== null} />
        </div>
        <Ignored panel={panel} />
        {tab.value === "Rules" && <RulesPane panel={panel} board={board} />}
        {tab.value === "Backtest" && <BacktestPane panel={panel} />}
        {tab.value === "Policies" ? (
          <PoliciesPane panel={panel} board={board} run={run} />
        ) : (
          <RulesFoot panel={panel} run={run} isSetter={tab.value === "Rules"} />
        )}
      </div>
    </Dialog>
  );
}

/** What was found belongs to the tab that it was asked for in. */
function Tabs({ panel, tab, onPick }: { panel: RulesPanel; tab: Tab; onPick: (tab: Tab) => void }): JSX.Element {
  return (
    <div class="switch" role="group" aria-label="What to do with the rules">
      {TABS.map((each) => (
        <button
          key={each}
          type="button"
          class="switch-option"
          aria-pressed={each === tab}
          data-testid={`rules-tab-${each.toLowerCase()}`}
          onClick={() => {
            if (each !== tab) panel.tried.value = null;
            onPick(each);
          }}
        >
          {each}
        </button>
      ))}
    </div>
  );
}

/** Whose rules are shown and set; held while something is changed and not set yet. */
function ScopeChoice(props: { panel: RulesPanel; project: string; isHeld: boolean }): JSX.Element {
  const { panel, project } = props;
  const isHeld = props.isHeld || panel.changes.value.length > 0;
  return (
    <div class="desk-scope">
      <span id="rules-scope" class="quiet">
        Rules of
      </span>
      <div class="switch" role="group" aria-labelledby="rules-scope">
        {(["run", "project"] as const).map((scope) => (
          <button
            key={scope}
            type="button"
            class="switch-option"
            aria-pressed={panel.scope.value === scope}
            data-testid={`rules-scope-${scope}`}
            disabled={isHeld && panel.scope.value !== scope}
            title={isHeld ? "Set or forget the changes first" : undefined}
            onClick={() => panel.choose(scope)}
          >
            {scope === "run" ? "this run" : `project ${project}`}
          </button>
        ))}
      </div>
    </div>
  );
}

function Ignored({ panel }: { panel: RulesPanel }): JSX.Element | null {
  const ignored = panel.view.value?.ignored ?? [];
  if (ignored.length === 0) return null;
  return <p class="tone-warning">Of what is set here, this no longer fits and does not count: {ignored.join(" ")}</p>;
}

function RulesPane({ panel, board }: { panel: RulesPanel; board: PoliciesBoard }): JSX.Element {
  const rules = panel.view.value?.rules;
  if (rules === undefined) return <p class="quiet desk-pane">{panel.fault.value === null ? "Loading…" : ""}</p>;
  const tried = panel.tried.value;
  const picked = rules.find((rule) => rule.name === panel.picked.value);
  const isOnPane = picked !== undefined || tried !== null;
  const shown = picked ?? rules[0];
  const back = (): void => {
    if (tried === null) panel.picked.value = null;
    panel.tried.value = null;
  };
  return (
    <div class={isOnPane ? "desk-pane rules-split rules-has-picked" : "desk-pane rules-split"}>
      <RuleIndex panel={panel} rules={rules} shown={tried === null ? shown?.name : undefined} />
      <div class="rules-shown">
        <button type="button" class="button button-small rules-back" data-testid="rules-back" onClick={back}>
          {tried === null ? "all rules" : "back to the rule"}
        </button>
        {tried !== null ? (
          <TrialView trial={tried.trial} rules={rules} title="With these changes, in this run" />
        ) : (
          shown !== undefined && (
            <RuleCard
              key={`${panel.scope.value} ${shown.name}`}
              panel={panel}
              rule={shown}
              policies={board.views.value[panel.scope.value]}
            />
          )
        )}
      </div>
    </div>
  );
}
