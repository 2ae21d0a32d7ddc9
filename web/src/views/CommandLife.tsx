/** A command's life as it happens: queued, sent, received, applied at step S with old and new value; or why not. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { resultOf } from "../lib/deeds";
import type { Command } from "../lib/models";
import { policyOfCommand } from "../lib/policies";
import { canControl } from "../lib/state";
import { usePage } from "./context";

const ROAD = ["queued", "sent", "received", "applied"] as const;

export function CommandLife({ command }: { command: Command }): JSX.Element {
  const isOnRoad = ROAD.some((state) => state === command.state);
  const policy = policyOfCommand(command.actor, command.reason);
  const reached = isOnRoad ? ROAD.indexOf(command.state as (typeof ROAD)[number]) : lastReached(command);
  return (
    <div class="life" role="status">
      <ol class="life-road" aria-label="the command's life">
        {ROAD.map((state, i) => (
          <li
            key={state}
            class={i <= reached ? "life-done" : ""}
            aria-current={state === command.state ? "step" : undefined}
          >
            {state}
          </li>
        ))}
      </ol>
      {policy !== null && (
        <p class="quiet" data-testid="by-policy">
          By itself: {policy}
        </p>
      )}
      <p class={`life-result${isOnRoad ? "" : " tone-warning"}`}>{resultOf(command)}</p>
      <CancelButton command={command} />
    </div>
  );
}

function lastReached(command: Command): number {
  return Math.max(...command.history.map((entry) => ROAD.findIndex((state) => state === entry.state)), 0);
}

/** As long as nobody has it, a command can be taken back. */
export function CancelButton({ command }: { command: Command }): JSX.Element | null {
  const page = usePage();
  const fault = useSignal<string | null>(null);
  if (command.state !== "queued" || !canControl(page.state.value)) return null;
  const cancel = async (): Promise<void> => {
    fault.value = await page.desks.control.cancel(command.id);
  };
  return (
    <>
      <button
        type="button"
        class="button button-small"
        data-testid={`cancel-${command.id}`}
        title="It is stored and not sent: cancelled, it is never applied"
        onClick={() => void cancel()}
      >
        cancel
      </button>
      {fault.value !== null && (
        <span class="fault" role="status">
          {fault.value}
        </span>
      )}
    </>
  );
}
