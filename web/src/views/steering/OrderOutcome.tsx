/** What came of an order: its life while it is under way, its result, a refusal, or what others changed meanwhile. */
import type { JSX } from "preact";
import { commandText, resultOf } from "../../lib/deeds";
import { isPending } from "../../lib/state";
import { CommandLife } from "../CommandLife";
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
          <p class={`number ${isGood ? "" : "tone-warning"}`}>
            #{command.number} {resultOf(command)}
          </p>
        )}
      </div>
      {isOpen && <CommandLife command={command} />}
    </>
  );
}
