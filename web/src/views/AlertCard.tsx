/** One alert: what, since when, why, and the remedy that says what it will do before it is pressed. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { commandText } from "../charts/overlay";
import { short, step, words } from "../lib/format";
import type { Alert, Command, Remedy, Run } from "../lib/models";
import { answerTo, canControl, isOpen, isPending, reflexOf, whyNoControl } from "../lib/state";
import { setWeightText } from "../lib/weights";
import { BlameBar } from "./BlameBar";
import { CommandLife, outcomeOf, resultOf } from "./CommandLife";
import { usePage } from "./context";
import { HealthLight } from "./HealthLight";
import { OriginFacts } from "./OriginFacts";
import { Sparkline } from "./Sparkline";

export function AlertCard({ alert, run }: { alert: Alert; run: Run }): JSX.Element {
  const page = usePage();
  const isShown = page.shownCard.value === alert.id;
  const answer = answerTo(page.state.value.detail, alert.id);
  const reflex = reflexOf(page.state.value.detail, alert.id);
  return (
    <article
      id={`card-${alert.id}`}
      class={`alert alert-${alert.severity} alert-is-${alert.state}${isShown ? " is-shown" : ""}`}
      data-testid="alert-card"
      data-alert={alert.id}
      data-rule={alert.rule}
      data-state={alert.state}
      data-severity={alert.severity}
      data-step={alert.step}
    >
      <header class="alert-head">
        <HealthLight health={alert.severity} />
        <h3>
          {words(alert.rule)}
          {alert.component !== null && <span class="alert-component"> {alert.component}</span>}
        </h3>
        <span class={`badge badge-${alert.state}`}>{alert.state}</span>
      </header>
      <p class="alert-since number">
        {alert.severity}, since step {step(alert.step)}
        {endText(alert)}
      </p>
      <p class="alert-message">{alert.message}</p>
      {alert.origin !== null && <OriginFacts origin={alert.origin} />}
      {alert.blame !== null && (
        <BlameBar
          blame={alert.blame}
          components={run.components.map((component) => component.name)}
          said={alert.message}
        />
      )}
      {reflex !== null && (
        <p class="alert-reflex number" data-testid="alert-reflex">
          {reflexText(reflex)}
        </p>
      )}
      {answer !== null && <CommandLife command={answer} />}
      <Deeds alert={alert} run={run} answer={answer} />
      <Evidence alert={alert} />
    </article>
  );
}

/** How the alert ended; empty while it has not. */
function endText(alert: Alert): string {
  if (alert.rolledBackTo !== null) return `, undone by a rollback to step ${step(alert.rolledBackTo)}`;
  return alert.resolvedStep === null ? "" : `, resolved at step ${step(alert.resolvedStep)}`;
}

/** What the rule did by itself, in a line. */
function reflexText(command: Command): string {
  if (command.state === "applied") return outcomeOf(command) ?? commandText(command);
  return `${commandText(command)}: ${isPending(command) ? "asked for by the rule" : resultOf(command)}`;
}

function Evidence({ alert }: { alert: Alert }): JSX.Element {
  return (
    <details class="evidence">
      <summary>Evidence</summary>
      {alert.values.length > 1 && (
        <Sparkline values={alert.values} label={`${alert.series} around step ${alert.step}`} />
      )}
      {alert.evidenceText !== "" && <p>{alert.evidenceText}</p>}
      <dl class="facts">
        {alert.evidence.map(([name, value]) => (
          <div key={name}>
            <dt>{words(name)}</dt>
            <dd class="number">{short(value)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function Deeds({ alert, run, answer }: { alert: Alert; run: Run; answer: Command | null }): JSX.Element | null {
  const page = usePage();
  const fault = useSignal<string | null>(null);
  const isSending = useSignal(false);
  if (!canControl(page.state.value)) return null;
  const refusal = whyNoControl(page.state.value, run);
  const isAnswered = answer !== null && (isPending(answer) || answer.state === "applied");
  const act = async (work: Promise<string | null>): Promise<void> => {
    isSending.value = true;
    fault.value = await work;
    isSending.value = false;
  };
  const isDue = alert.remedy !== null && alert.state !== "resolved";
  const canResume = isDue && alert.remedy.kind === "pause" && run.state === "paused";
  const canRemedy = isDue && !canResume && !isAnswered;
  return (
    <footer class="alert-deeds">
      {alert.remedy !== null && canRemedy && (
        <RemedyButton
          remedy={alert.remedy}
          run={run}
          isDisabled={isSending.value || refusal !== null}
          onPress={() => void act(page.actions.command(alert.remedy?.kind ?? "", alert.remedy?.args ?? {}, alert.id))}
        />
      )}
      {canResume && (
        <button
          type="button"
          class="button button-main"
          data-testid="alert-resume"
          disabled={isSending.value || refusal !== null || !run.controls.includes("resume")}
          onClick={() => void act(page.actions.command("resume", {}))}
        >
          Resume the run
        </button>
      )}
      {isOpen(alert) && (
        <button
          type="button"
          class="button"
          data-testid="alert-ack"
          disabled={isSending.value || page.state.value.link !== "up"}
          onClick={() => void act(page.actions.acknowledge(alert.id))}
        >
          Acknowledge
        </button>
      )}
      {canRemedy && refusal !== null && <p class="quiet">{refusal}</p>}
      {fault.value !== null && <p class="fault">{fault.value}</p>}
    </footer>
  );
}

function RemedyButton({
  remedy,
  run,
  isDisabled,
  onPress,
}: {
  remedy: Remedy;
  run: Run;
  isDisabled: boolean;
  onPress: () => void;
}): JSX.Element {
  const said =
    remedy.kind === "set_weight"
      ? setWeightText(run.components, remedy.args)
      : { action: remedy.text === "" ? words(remedy.kind) : remedy.text, effect: "" };
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
