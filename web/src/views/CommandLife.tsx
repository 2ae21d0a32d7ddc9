/** A command's life as it happens: queued, sent, received, applied at step S on k ranks, and its effect; or why not. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { resultOf } from "../lib/deeds";
import { ROAD, type Stop, awaitsEffect, stopsOf, tookText } from "../lib/life";
import type { Command, Run } from "../lib/models";
import { clockText } from "../lib/moments";
import { policyOfCommand } from "../lib/policies";
import { canControl, isOver } from "../lib/state";
import { usePage } from "./context";
import { EffectView } from "./EffectView";
import { RevertButton } from "./RevertButton";

interface Props {
  readonly command: Command;
  /** where it can be taken back from here */
  readonly run?: Run;
}

export function CommandLife({ command, run }: Props): JSX.Element {
  const policy = policyOfCommand(command.actor, command.reason);
  const isOnRoad = ROAD.some((state) => state === command.state);
  const took = command.state === "applied" ? tookText(command) : "";
  return (
    <div class="life" role="status">
      <Road stops={stopsOf(command)} />
      {policy !== null && (
        <p class="quiet" data-testid="by-policy">
          By itself: {policy}
        </p>
      )}
      <p class={`life-result${isOnRoad ? "" : " tone-warning"}`} title={took}>
        {resultOf(command)}
      </p>
      {command.effect !== null && <EffectView effect={command.effect} testid="life-effect" />}
      {awaitsEffect(command) && run !== undefined && !isOver(run) && (
        <p class="quiet">What came of it is told some 50 steps later.</p>
      )}
      <CancelButton command={command} />
      {run !== undefined && <RevertButton run={run} command={command} testid={`life-revert-${command.id}`} />}
    </div>
  );
}

function Road({ stops }: { stops: readonly Stop[] }): JSX.Element {
  const { wallS } = usePage();
  return (
    <ol class={`life-road life-of-${stops.length}`} aria-label="the command's life">
      {stops.map(({ name, isReached, isNow, atS }) => (
        <li
          key={name}
          class={isReached ? "life-done" : ""}
          aria-current={isNow ? "step" : undefined}
          title={atS === null ? undefined : clockText(atS, wallS.value)}
        >
          {name}
        </li>
      ))}
    </ol>
  );
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
