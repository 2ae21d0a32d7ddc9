/** How long there still is before a stage that an alert saw coming, and a way to keep it from coming. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { aheadText } from "../../lib/forecast";
import type { Command, Run, StageMark } from "../../lib/models";
import { canControl, isOver, isPending, whyNoControl } from "../../lib/state";
import { usePage } from "../context";

interface Props {
  readonly stage: StageMark;
  readonly run: Run;
  /** the id of the alert that saw it coming */
  readonly alert: string;
}

export function AheadLine({ stage, run, alert }: Props): JSX.Element {
  return (
    <div class="ahead number" data-testid="ahead">
      <span>{aheadText(stage, run)}</span>
      <HoldButton stage={stage} run={run} alert={alert} />
    </div>
  );
}

/** Nothing once the stage has begun or waits, nor for who may only look. */
function HoldButton({ stage, run, alert }: Props): JSX.Element | null {
  const page = usePage();
  const fault = useSignal<string | null>(null);
  const isSending = useSignal(false);
  const isComing = Number.isFinite(stage.start) && stage.start > (run.step ?? -1);
  if (!isComing || isOver(run) || !canControl(page.state.value) || !run.controls.includes("hold_stage")) return null;
  const refusal = whyNoControl(page.state.value, run);
  const isUnderWay = isSending.value || Object.values(page.state.value.detail.commands).some(isHolding);
  const hold = async (): Promise<void> => {
    isSending.value = true;
    fault.value = await page.actions.command("hold_stage", {}, alert);
    isSending.value = false;
  };
  return (
    <>
      <button
        type="button"
        class="button button-small"
        data-testid="ahead-hold"
        disabled={isUnderWay || refusal !== null}
        title={refusal ?? "The run goes on in its present stage until a person releases it; the weights stay as they are."}
        onClick={() => void hold()}
      >
        Hold it off
      </button>
      {fault.value !== null && <p class="fault">{fault.value}</p>}
    </>
  );
}

function isHolding(command: Command): boolean {
  return command.kind === "hold_stage" && isPending(command);
}
