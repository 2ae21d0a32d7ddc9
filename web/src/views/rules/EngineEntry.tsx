/** The ways to the rules and to the notifications, a badge when the rules are not well, and the two dialogs. */
import type { JSX } from "preact";
import { badgeText, troublesOf } from "../../lib/rulesHealth";
import { NotificationsDialog } from "../channels/NotificationsDialog";
import { usePage } from "../context";
import { RulesDialog } from "./RulesDialog";
import type { Engine } from "./useEngine";

/** Two buttons; the page has them at its top, on a phone in the run's part. */
export function EngineEntry({ engine }: { engine: Engine }): JSX.Element | null {
  const { state, route } = usePage();
  const { selected, needsToken } = state.value;
  if (needsToken) return null;
  const health = engine.health.value;
  const isRun = route.value.view === "run";
  const badge = !isRun || health === null || selected === null ? null : badgeText(health, selected);
  return (
    <div class="engine-entry">
      {badge !== null && health !== null && (
        <button
          type="button"
          class="badge engine-badge"
          data-testid="engine-badge"
          title={troublesOf(health, selected ?? "").join("\n")}
          onClick={() => (engine.open.value = "rules")}
        >
          <span aria-hidden="true">▲ </span>
          {badge}
        </button>
      )}
      {isRun && (
        <button
          type="button"
          class="button button-quiet"
          data-testid="open-rules"
          disabled={selected === null}
          title="What judges this run, and with which parameters"
          onClick={() => (engine.open.value = "rules")}
        >
          Rules
        </button>
      )}
      <button
        type="button"
        class="button button-quiet"
        data-testid="open-notifications"
        title="Who is told of alerts, and what was sent"
        onClick={() => (engine.open.value = "notifications")}
      >
        Notifications
      </button>
    </div>
  );
}

export function EngineDialogs({ engine }: { engine: Engine }): JSX.Element | null {
  const { runs, selected } = usePage().state.value;
  const run = selected === null ? undefined : runs[selected];
  const close = (): void => {
    engine.open.value = null;
  };
  if (engine.open.value === "notifications") return <NotificationsDialog onClose={close} />;
  if (engine.open.value !== "rules" || run === undefined) return null;
  return <RulesDialog key={run.id} run={run} health={engine.health.value} onClose={close} />;
}
