/** Pause, resume, stop, roll back, full detail. Stop must be pressed twice, because nothing brings a stopped run back. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Fields } from "../lib/decode";
import { step } from "../lib/format";
import type { Run } from "../lib/models";
import { commandsOf, isPending, pausedByGuard, whyNoControl } from "../lib/state";
import { CommandLife } from "./CommandLife";
import { usePage } from "./context";
import { DetailEntry } from "./DetailEntry";
import { RollbackButton } from "./RollbackButton";
import { OneDeed } from "./steering/OneDeed";

const ARMED_MS = 4000;
const HERE: ReadonlySet<string> = new Set(["pause", "resume", "stop", "rollback", "instrument"]);

export function RunControls({ run }: { run: Run }): JSX.Element {
  const page = usePage();
  const state = page.state.value;
  const fault = useSignal<string | null>(null);
  const refusal = whyNoControl(state, run);
  // What steers the schedule says beside its own control what becomes of it.
  const underWay = commandsOf(state.detail).find((command) => HERE.has(command.kind) && isPending(command));
  const guardPause = pausedByGuard(run, state.detail);
  const can = (kind: string): boolean => refusal === null && run.controls.includes(kind);
  const send = async (kind: string, args: Fields = {}): Promise<void> => {
    fault.value = await page.actions.command(kind, args);
  };
  return (
    <section class="panel" aria-label="Run control">
      <div class="run-buttons">
        <button
          type="button"
          class="button"
          data-testid="btn-pause"
          title="Training waits before the next step until it is resumed"
          disabled={!can("pause") || run.state === "paused"}
          onClick={() => void send("pause")}
        >
          Pause
        </button>
        <button
          type="button"
          class={run.state === "paused" ? "button button-main" : "button"}
          data-testid="btn-resume"
          title="Training goes on with the next step"
          disabled={!can("resume") || run.state !== "paused"}
          onClick={() => void send("resume")}
        >
          Resume
        </button>
        <StopButton isDisabled={!can("stop")} onStop={() => void send("stop")} />
      </div>
      <Deeds run={run} isAllowed={refusal === null} send={(kind, args) => void send(kind, args)} />
      {guardPause !== null && (
        <p class="paused-by number" data-testid="paused-by">
          paused by the guard after step {step(guardPause)}
        </p>
      )}
      {refusal !== null && (
        <p class="view-only" data-testid="no-control">
          {refusal}
        </p>
      )}
      {underWay !== undefined && <CommandLife command={underWay} run={run} />}
      {fault.value !== null && <p class="fault">{fault.value}</p>}
    </section>
  );
}

interface DeedsProps {
  readonly run: Run;
  readonly isAllowed: boolean;
  readonly send: (kind: string, args: Fields) => void;
}

/** What only some training scripts allow. */
function Deeds({ run, isAllowed, send }: DeedsProps): JSX.Element | null {
  const canRollBack = run.controls.includes("rollback");
  const canInstrument = run.controls.includes("instrument");
  const canSave = run.controls.includes("checkpoint");
  if (!canRollBack && !canInstrument && !canSave) return null;
  return (
    <div class="run-deeds">
      {canRollBack && <RollbackButton run={run} onSend={(args) => send("rollback", args)} />}
      {canInstrument && (
        <DetailEntry run={run} isAllowed={isAllowed} onSend={(steps) => send("instrument", { steps })} />
      )}
      {canSave && <Checkpoint run={run} isAllowed={isAllowed} />}
    </div>
  );
}

function Checkpoint({ run, isAllowed }: { run: Run; isAllowed: boolean }): JSX.Element {
  return (
    <OneDeed
      run={run.id}
      kind="checkpoint"
      args={{}}
      open="Checkpoint…"
      label="Write a checkpoint"
      name="checkpoint"
      ground={{ step: run.step, position: null, stage: null, isHeld: false }}
      isAllowed={isAllowed}
    />
  );
}

function StopButton({ isDisabled, onStop }: { isDisabled: boolean; onStop: () => void }): JSX.Element {
  const isArmed = useSignal(false);
  useEffect(() => {
    if (!isArmed.value) return undefined;
    const timer = window.setTimeout(() => (isArmed.value = false), ARMED_MS);
    return () => window.clearTimeout(timer);
  }, [isArmed, isArmed.value]);
  const press = (event: MouseEvent): void => {
    // The second click of a double-click confirms nothing: the person has not read the question.
    if (event.detail > 1) return;
    if (isArmed.value) onStop();
    isArmed.value = !isArmed.value;
  };
  return (
    <button
      type="button"
      class={isArmed.value ? "button button-danger" : "button"}
      data-testid="btn-stop"
      title="The run ends before the next step; nothing brings it back. Asks once more"
      data-armed={isArmed.value}
      disabled={isDisabled}
      onClick={press}
      onKeyDown={(event) => {
        // Nor does a key that is held down.
        if (event.repeat) event.preventDefault();
        if (event.key === "Escape") isArmed.value = false;
      }}
    >
      {isArmed.value ? "Really stop?" : "Stop"}
    </button>
  );
}
