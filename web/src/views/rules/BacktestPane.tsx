/** Tries these rules on stored runs: choose the runs, and whether the rules here or each run's own are the ground. */
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { step } from "../../lib/format";
import type { Run } from "../../lib/models";
import type { Over } from "../../lib/rules";
import { fullNameOf } from "../../lib/runNames";
import { HealthLight } from "../HealthLight";
import { usePage } from "../context";
import { TrialView } from "./TrialView";
import type { RulesPanel } from "./panel";

/** The server's bound. */
const MAX_RUNS = 200;

export function BacktestPane({ panel }: { panel: RulesPanel }): JSX.Element {
  const { state } = usePage();
  const chosen = useSignal<ReadonlySet<string>>(new Set([panel.run]));
  const over = useSignal<Over>("defaults");
  const runs = state.value.order.flatMap((id) => state.value.runs[id] ?? []);
  const asked = runs.filter((run) => chosen.value.has(run.id)).map((run) => run.id);
  const canRun =
    asked.length > 0 && asked.length <= MAX_RUNS && panel.isSound.value && panel.progress.value === null;
  const tried = panel.tried.value;
  return (
    <div class="desk-pane rules-split backtest">
      <div class="backtest-ask">
        <Ground panel={panel} over={over} />
        <RunChoice runs={runs} chosen={chosen} />
        <button
          type="button"
          class="button button-main"
          data-testid="backtest-run"
          disabled={!canRun}
          onClick={() => void panel.backtest(asked, over.value)}
        >
          Try on {asked.length} {asked.length === 1 ? "run" : "runs"}
        </button>
        <p class="quiet">
          Nothing is set and nobody is told. {asked.length > MAX_RUNS ? `At most ${MAX_RUNS} runs at once.` : ""}
        </p>
      </div>
      <div class="rules-shown">
        {tried === null ? (
          <p class="quiet">What the rules would have found stands here, beside what was found at the time.</p>
        ) : (
          <TrialView trial={tried.trial} rules={panel.view.value?.rules ?? []} title="Backtest" />
        )}
      </div>
    </div>
  );
}

function Ground({ panel, over }: { panel: RulesPanel; over: Signal<Over> }): JSX.Element {
  const changes = panel.changes.value.length;
  const with_ = changes === 0 ? "" : changes === 1 ? ", with the change below" : `, with the ${changes} changes below`;
  const where = panel.scope.value === "run" ? "this run" : `project ${panel.project}`;
  const options: readonly (readonly [Over, string])[] = [
    ["defaults", `the rules of ${where}${with_}`],
    ["run", `each run's own rules${with_}`],
  ];
  return (
    <fieldset class="choice">
      <legend>Which rules</legend>
      {options.map(([value, words]) => (
        <label key={value}>
          <input
            type="radio"
            name="backtest-over"
            checked={over.value === value}
            data-testid={`backtest-over-${value}`}
            onChange={() => (over.value = value)}
          />
          {words}
        </label>
      ))}
    </fieldset>
  );
}

function RunChoice({ runs, chosen }: { runs: readonly Run[]; chosen: Signal<ReadonlySet<string>> }): JSX.Element {
  const toggle = (id: string, isOn: boolean): void => {
    const next = new Set(chosen.value);
    if (isOn) next.add(id);
    else next.delete(id);
    chosen.value = next;
  };
  return (
    <fieldset class="choice backtest-runs">
      <legend>On which runs</legend>
      <p class="choice-deeds">
        <button
          type="button"
          class="button button-small"
          onClick={() => (chosen.value = new Set(runs.slice(0, MAX_RUNS).map((run) => run.id)))}
        >
          all
        </button>
        <button type="button" class="button button-small" onClick={() => (chosen.value = new Set())}>
          none
        </button>
      </p>
      {runs.map((run) => (
        <label key={run.id} class="backtest-run" title={run.id}>
          <input
            type="checkbox"
            checked={chosen.value.has(run.id)}
            data-testid="backtest-run-choice"
            data-run={run.id}
            onChange={(event) => toggle(run.id, event.currentTarget.checked)}
          />
          <HealthLight health={run.health} />
          <span class="backtest-name">
            {fullNameOf(run)}
          </span>
          <span class="quiet number">{step(run.step)}</span>
        </label>
      ))}
    </fieldset>
  );
}
