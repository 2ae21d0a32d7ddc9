/** The recent commands with their results and effects; what is in force can be taken back, what is queued cancelled. */
import type { JSX } from "preact";
import { commandText, leaseEndOf, outcomeOf, rampEndOf, resultOf } from "../lib/deeds";
import { step } from "../lib/format";
import type { Command, Run } from "../lib/models";
import { commandsOf } from "../lib/state";
import { withoutTerms } from "../lib/terms";
import { CancelButton } from "./CommandLife";
import { usePage } from "./context";
import { EffectView } from "./EffectView";
import { RevertButton } from "./RevertButton";

const SHOWN = 20;

export function CommandList({ run, canCommand }: { run: Run; canCommand: boolean }): JSX.Element {
  const page = usePage();
  const commands = commandsOf(page.state.value.detail);
  return (
    <section class="panel" aria-label="Commands">
      <h2>Commands</h2>
      {commands.length === 0 && <p class="quiet">None yet.</p>}
      <ul class="command-rows">
        {commands.slice(0, SHOWN).map((command) => (
          <Row
            key={command.id}
            run={run}
            command={command}
            isShown={page.shownCard.value === command.id}
            canCommand={canCommand}
          />
        ))}
      </ul>
      {commands.length > SHOWN && <p class="quiet">and {commands.length - SHOWN} older</p>}
    </section>
  );
}

/** The row says old and new of a weight already. */
function appliedText(command: Command): string {
  const outcome = command.kind === "set_weight" || command.kind === "revert" ? null : outcomeOf(command);
  if (command.kind === "rollback" && outcome !== null) return outcome;
  const ranks = command.ranks !== null && command.ranks > 1 ? ` on ${command.ranks} ranks` : "";
  return `at step ${step(command.step)}${ranks}${outcome === null ? "" : `, ${outcome}`}${endsText(command)}`;
}

function endsText(command: Command): string {
  const [ramp, lease] = [rampEndOf(command), leaseEndOf(command)];
  return `${ramp === null ? "" : `; ramp to step ${step(ramp)}`}${lease === null ? "" : `; ends at step ${step(lease)}`}`;
}

interface RowProps {
  readonly run: Run;
  readonly command: Command;
  readonly isShown: boolean;
  readonly canCommand: boolean;
}

/** Of an applied one the line below says how long it takes and holds. */
function whatText(command: Command): string {
  return commandText(command.state === "applied" ? { ...command, args: withoutTerms(command.args) } : command);
}

function Row({ run, command, isShown, canCommand }: RowProps): JSX.Element {
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
      <span class="command-what" title={commandText(command)}>
        {whatText(command)}
      </span>
      <span class={`badge badge-${command.state}`}>{command.state}</span>
      <span class="command-result" role="status">
        {command.state === "applied" ? appliedText(command) : resultOf(command)}
        {command.actor !== "" && ` · ${command.actor}`}
      </span>
      <CancelButton command={command} />
      {command.effect !== null && <EffectView effect={command.effect} />}
      {canCommand && <RevertButton run={run} command={command} />}
    </li>
  );
}
