/** How the rules themselves do, in a line of the panel; all runs, because they share one engine. */
import type { JSX } from "preact";
import { type RulesHealth, failedText, lateText } from "../../lib/rulesHealth";
import { fullNameOf } from "../../lib/runNames";
import { usePage } from "../context";

export function EngineLine({ health }: { health: RulesHealth | null }): JSX.Element {
  const { runs } = usePage().state.value;
  if (health === null) return <p class="quiet engine-line">How the rules do is not known: the server does not say.</p>;
  const late = lateText(health);
  const nameOf = (id: string): string => {
    const run = Object.hasOwn(runs, id) ? runs[id] : undefined;
    return run === undefined ? id : fullNameOf(run);
  };
  return (
    <div class="engine-line" data-testid="engine-line">
      {late === null ? (
        <p class="quiet">The rules keep up with the data.</p>
      ) : (
        <p class="tone-warning">
          The {late} ({health.laggingRuns === 1 ? "1 run" : `${health.laggingRuns} runs`}); alerts come so much later.
        </p>
      )}
      {health.failed.map((failed) => (
        <p key={`${failed.run} ${failed.rule}`} class="tone-warning">
          {nameOf(failed.run)}: {failedText(failed)}
        </p>
      ))}
    </div>
  );
}
