/** The recent commands with their results; an applied weight can be taken back. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { commandText } from "../charts/overlay";
import { short, step } from "../lib/format";
import type { Command } from "../lib/models";
import { commandsOf } from "../lib/state";
import { outcomeOf, resultOf } from "./CommandLife";
import { usePage } from "./context";

const SHOWN = 20;

export function CommandList({ isAllowed }: { isAllowed: boolean }): JSX.Element {
  const page = usePage();
  const commands = commandsOf(page.state.value.detail);
  return (
    <section class="panel" aria-label="Commands">
      <h2>Commands</h2>
      {commands.length === 0 && <p class="quiet">None yet.</p>}
      <ul class="command-rows">
        {commands.slice(0, SHOWN).map((command) => (
          <Row key={command.id} command={command} isShown={page.shownCard.value === command.id} isAllowed={isAllowed} />
        ))}
      </ul>
      {commands.length > SHOWN && <p class="quiet">and {commands.length - SHOWN} older</p>}
    </section>
  );
}

/** The row says old and new of a weight already. */
function appliedText(command: Command): string {
  const outcome = command.kind === "instrument" || command.kind === "rollback" ? outcomeOf(command) : null;
  if (command.kind === "rollback" && outcome !== null) return outcome;
  return `at step ${step(command.step)}${outcome === null ? "" : `, ${outcome}`}`;
}

function Row({ command, isShown, isAllowed }: { command: Command; isShown: boolean; isAllowed: boolean }): JSX.Element {
  const { actions } = usePage();
  const fault = useSignal<string | null>(null);
  const canRevert = command.kind === "set_weight" && command.state === "applied" && isAllowed;
  const revert = async (): Promise<void> => {
    fault.value = await actions.command("revert", { command: command.id });
  };
  return (
    <li
      id={`card-${command.id}`}
      class={isShown ? "command-row is-shown" : "command-row"}
      data-testid="command-row"
      data-command={command.id}
      data-kind={command.kind}
      data-state={command.state}
      data-step={command.step ?? ""}
    >
      <span class="command-number number">#{command.number}</span>
      <span class="command-what">{commandText(command)}</span>
      <span class={`badge badge-${command.state}`}>{command.state}</span>
      <span class="command-result">
        {command.state === "applied" ? appliedText(command) : resultOf(command)}
        {command.actor !== "" && ` · ${command.actor}`}
      </span>
      {canRevert && (
        <button
          type="button"
          class="button button-small"
          data-testid={`revert-${command.id}`}
          title={command.old === null ? "back to the schedule" : `back to ${short(command.old)}`}
          onClick={() => void revert()}
        >
          revert
        </button>
      )}
      {fault.value !== null && <span class="fault">{fault.value}</span>}
    </li>
  );
}
