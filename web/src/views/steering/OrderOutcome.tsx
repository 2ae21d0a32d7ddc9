/** What came of an order: its life while it is under way, its result, a refusal, or what others changed meanwhile. */
import type { JSX } from "preact";
import { commandText, resultOf } from "../../lib/deeds";
import { awaitsEffect, tookText } from "../../lib/life";
import type { Command } from "../../lib/models";
import { isPending } from "../../lib/state";
import { CommandLife } from "../CommandLife";
import { usePage } from "../context";
import { EffectView } from "../EffectView";
import { RevertButton } from "../RevertButton";
import type { Ordering } from "./useOrder";

export function OrderOutcome({ ordering, testid }: { ordering: Ordering; testid: string }): JSX.Element {
  const { given, command } = ordering;
  const isOpen = command !== null && isPending(command);
  const isGood = command?.state === "applied";
  return (
    <>
      <div class="outcome" role="status" data-testid={testid}>
        {given?.kind === "refused" && <p class="fault">Not sent: {given.why}</p>}
        {given?.kind === "conflict" && (
          <div class="conflict">
            <p class="tone-warning">Not sent: the schedule was changed since you looked.</p>
            {given.changed.map((changed) => (
              <p key={changed.id} class="number">
                #{changed.number} {commandText(changed)}
                {changed.actor !== "" && ` · ${changed.actor}`} · {resultOf(changed)}
              </p>
            ))}
            {given.changed.length === 0 && <p>{given.why}</p>}
            <p>Press again to send yours all the same.</p>
          </div>
        )}
        {command !== null && !isOpen && (
          <p class={`number ${isGood ? "" : "tone-warning"}`} title={tookText(command)}>
            #{command.number} {resultOf(command)}
          </p>
        )}
        {command !== null && awaitsEffect(command) && <p class="quiet">What came of it is told some 50 steps later.</p>}
      </div>
      {isOpen && <CommandLife command={command} />}
      {command !== null && !isOpen && <Aftermath command={command} />}
    </>
  );
}

/** What came of it, and the way back. */
function Aftermath({ command }: { command: Command }): JSX.Element {
  const run = usePage().state.value.runs[command.run];
  return (
    <div class="aftermath">
      {command.effect !== null && <EffectView effect={command.effect} testid="outcome-effect" />}
      {run !== undefined && (
        <RevertButton run={run} command={command} testid={`outcome-revert-${command.id}`} />
      )}
    </div>
  );
}
