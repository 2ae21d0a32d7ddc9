/** Pause, resume, stop. Stop must be pressed twice, because nothing brings a stopped run back. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Run } from "../lib/models";
import { commandsOf, isPending, whyNoControl } from "../lib/state";
import { CommandLife } from "./CommandLife";
import { usePage } from "./context";

const ARMED_MS = 4000;

export function RunControls({ run }: { run: Run }): JSX.Element {
  const page = usePage();
  const state = page.state.value;
  const fault = useSignal<string | null>(null);
  const refusal = whyNoControl(state, run);
  const underWay = commandsOf(state.detail).find(
    (command) => command.kind !== "set_weight" && command.kind !== "revert" && isPending(command),
  );
  const can = (kind: string): boolean => refusal === null && run.controls.includes(kind);
  const send = async (kind: string): Promise<void> => {
    fault.value = await page.actions.command(kind, {});
  };
  return (
    <section class="panel" aria-label="Run control">
      <div class="run-buttons">
        <button
          type="button"
          class="button"
          data-testid="btn-pause"
          disabled={!can("pause") || run.state === "paused"}
          onClick={() => void send("pause")}
        >
          Pause
        </button>
        <button
          type="button"
          class="button"
          data-testid="btn-resume"
          disabled={!can("resume") || run.state !== "paused"}
          onClick={() => void send("resume")}
        >
          Resume
        </button>
        <StopButton isDisabled={!can("stop")} onStop={() => void send("stop")} />
      </div>
      {refusal !== null && (
        <p class="view-only" data-testid="no-control">
          {refusal}
        </p>
      )}
      {underWay !== undefined && <CommandLife command={underWay} />}
      {fault.value !== null && <p class="fault">{fault.value}</p>}
    </section>
  );
}

function StopButton({ isDisabled, onStop }: { isDisabled: boolean; onStop: () => void }): JSX.Element {
  const isArmed = useSignal(false);
  useEffect(() => {
    if (!isArmed.value) return undefined;
    const timer = window.setTimeout(() => (isArmed.value = false), ARMED_MS);
    return () => window.clearTimeout(timer);
  }, [isArmed, isArmed.value]);
  const press = (): void => {
    if (isArmed.value) onStop();
    isArmed.value = !isArmed.value;
  };
  return (
    <button
      type="button"
      class={isArmed.value ? "button button-danger" : "button"}
      data-testid="btn-stop"
      data-armed={isArmed.value}
      disabled={isDisabled}
      onClick={press}
    >
      {isArmed.value ? "Really stop?" : "Stop"}
    </button>
  );
}
