/** A remedy as a button that says what it will do before it is pressed, or the way on after a pause. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { words } from "../lib/format";
import type { Remedy, Run } from "../lib/models";
import { canControl, isOver, whyNoControl } from "../lib/state";
import { type Promised, setWeightText } from "../lib/weights";
import { usePage } from "./context";
import { RemedyPreview } from "./incident/RemedyPreview";

interface Props {
  readonly remedy: Remedy;
  readonly run: Run;
  /** the id of the alert that it answers */
  readonly alert: string;
  /** a command that does the same is under way or was applied */
  readonly isAnswered: boolean;
}

export function RemedyDeed({ remedy, run, alert, isAnswered }: Props): JSX.Element | null {
  const page = usePage();
  const fault = useSignal<string | null>(null);
  const isSending = useSignal(false);
  if (isOver(run)) return null;
  if (!canControl(page.state.value)) return <ReadOnly remedy={remedy} run={run} />;
  const refusal = whyNoControl(page.state.value, run);
  const act = async (work: Promise<string | null>): Promise<void> => {
    isSending.value = true;
    fault.value = await work;
    isSending.value = false;
  };
  const isDisabled = isSending.value || refusal !== null;
  if (remedy.kind === "pause" && run.state === "paused")
    return (
      <button
        type="button"
        class="button button-main"
        data-testid="alert-resume"
        disabled={isDisabled || !run.controls.includes("resume")}
        onClick={() => void act(page.actions.command("resume", {}))}
      >
        Resume the run
      </button>
    );
  return (
    <>
      {!isAnswered && (
        <RemedyButton
          remedy={remedy}
          run={run}
          isDisabled={isDisabled}
          onPress={() => void act(page.actions.command(remedy.kind, remedy.args, alert))}
        />
      )}
      {!isAnswered && <RemedyPreview remedy={remedy} run={run} />}
      {!isAnswered && refusal !== null && <p class="quiet">{refusal}</p>}
      {fault.value !== null && <p class="fault">{fault.value}</p>}
    </>
  );
}

interface ButtonProps {
  readonly remedy: Remedy;
  readonly run: Run;
  readonly isDisabled: boolean;
  readonly onPress: () => void;
}

function RemedyButton({ remedy, run, isDisabled, onPress }: ButtonProps): JSX.Element {
  const said = saidOf(remedy, run);
  return (
    <button
      type="button"
      class="button button-main remedy"
      data-testid="alert-remedy"
      disabled={isDisabled}
      title={remedy.text}
      onClick={onPress}
    >
      <span>{said.action}</span>
      {said.effect !== "" && <span class="remedy-effect number">{said.effect}</span>}
    </button>
  );
}

function saidOf(remedy: Remedy, run: Run): Promised {
  if (remedy.kind === "set_weight") return setWeightText(run.components, remedy.args);
  return { action: remedy.text === "" ? words(remedy.kind) : remedy.text, effect: "" };
}

/** Who may only look can tell somebody who may do more. */
function ReadOnly({ remedy, run }: { remedy: Remedy; run: Run }): JSX.Element {
  const said = saidOf(remedy, run);
  return (
    <p class="remedy-readonly" data-testid="remedy-readonly">
      <strong>What would help:</strong> {said.action}
      {said.effect !== "" && <span class="number"> ({said.effect})</span>}.{" "}
      <span class="quiet">This token may only look.</span>
    </p>
  );
}
