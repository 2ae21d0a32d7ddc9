/** Takes one command back, which says what holds then; of one that made things worse it is the chief thing to do. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { canBeReverted } from "../lib/deeds";
import { step } from "../lib/format";
import type { Command, Run } from "../lib/models";
import { commandsOf, whyNoControl } from "../lib/state";
import { toldText } from "../lib/told";
import { usePage } from "./context";

interface Props {
  readonly run: Run;
  readonly command: Command;
  /** names it to tests: the list of commands offers each once more */
  readonly testid?: string;
}

export function RevertButton({ run, command, testid = `revert-${command.id}` }: Props): JSX.Element | null {
  const page = usePage();
  const fault = useSignal<string | null>(null);
  const isSending = useSignal(false);
  const state = page.state.value;
  const isAllowed = run.controls.includes("revert") && whyNoControl(state, run) === null;
  if (!isAllowed || !canBeReverted(command, commandsOf(state.detail), run.step)) return null;
  const revert = async (): Promise<void> => {
    // A second press before the answer would be a second command, which the trainer rejects.
    isSending.value = true;
    fault.value = await page.actions.command("revert", { command: command.id });
    isSending.value = false;
  };
  const isBad = command.effect?.verdict === "worse";
  return (
    <>
      <button
        type="button"
        class={`button button-small${isBad ? " button-main" : ""}`}
        data-testid={testid}
        title={revertTitle(command, run)}
        disabled={isSending.value}
        onClick={() => void revert()}
      >
        revert
      </button>
      {fault.value !== null && (
        <span class="fault" role="status">
          {fault.value}
        </span>
      )}
    </>
  );
}

function revertTitle(command: Command, run: Run): string {
  const at = `At the next step${run.step === null ? "" : ` (about ${step(run.step + 1)})`}`;
  const back = command.kind !== "set_weight" || command.old === null ? "" : `, now ${toldText(command.old)}`;
  return `${at} it is as if this had not been done: what lies beneath holds again${back}`;
}
