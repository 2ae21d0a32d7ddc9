/** A command's life as it happens: queued, sent, received, applied at step S with old and new value; or why not. */
import type { JSX } from "preact";
import { short, step, words } from "../lib/format";
import type { Command } from "../lib/models";

const ROAD = ["queued", "sent", "received", "applied"] as const;

export function CommandLife({ command }: { command: Command }): JSX.Element {
  const isOnRoad = ROAD.some((state) => state === command.state);
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
      <p class={`life-result${isOnRoad ? "" : " tone-warning"}`}>{resultOf(command)}</p>
    </div>
  );
}

function lastReached(command: Command): number {
  return Math.max(...command.history.map((entry) => ROAD.findIndex((state) => state === entry.state)), 0);
}

/** What an applied command brought about; null where its kind says it all. */
export function outcomeOf({ kind, old, new: now }: Command): string | null {
  if (now === null) return null;
  if (kind === "instrument") return `full detail until step ${step(now)}`;
  if (kind === "rollback") return old === null ? `to step ${step(now)}` : `from step ${step(old)} to ${step(now)}`;
  return `${short(old)} → ${short(now)}`;
}

export function resultOf(command: Command): string {
  if (command.state === "applied") {
    const outcome = outcomeOf(command);
    if (command.kind === "rollback" && outcome !== null) return `applied: ${outcome}`;
    const at = `applied at step ${step(command.step)}`;
    return outcome === null ? at : `${at}: ${outcome}`;
  }
  if (command.state === "queued") return "stored; waiting for the trainer's connection";
  if (command.state === "sent") return "on its way to the trainer";
  if (command.state === "received") return "in the trainer; takes effect at the next step";
  return command.refusal === null ? words(command.state) : `${words(command.state)}: ${command.refusal}`;
}
