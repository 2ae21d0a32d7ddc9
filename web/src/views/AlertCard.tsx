/** One alert: what, since when, why, and the remedy that says what it will do before it is pressed. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { commandText, outcomeOf, resultOf } from "../lib/deeds";
import { stageAhead, withoutAhead } from "../lib/forecast";
import { step } from "../lib/format";
import { isSameRemedy } from "../lib/incidents";
import type { Alert, Command, Remedy, Run } from "../lib/models";
import { ruleTitle } from "../lib/ruleTitles";
import { isSilenced } from "../lib/sayings";
import { OPEN_AT_END, answerTo, canControl, isOpen, isOver, isPending, reflexOf } from "../lib/state";
import { AlertEvidence } from "./AlertEvidence";
import { BlameBar } from "./BlameBar";
import { CommandLife } from "./CommandLife";
import { usePage } from "./context";
import { ForecastLine } from "./ForecastLine";
import { HealthLight } from "./HealthLight";
import { OriginFacts } from "./OriginFacts";
import { RemedyDeed } from "./RemedyDeed";
import { Sayings } from "./Sayings";
import { AheadLine } from "./incident/AheadLine";
import { When } from "./incident/When";
import { useStages } from "./steering/schedule";

interface Props {
  readonly alert: Alert;
  readonly run: Run;
  /** the remedy that its incident offers already */
  readonly offered?: Remedy | null;
}

export function AlertCard({ alert, run, offered = null }: Props): JSX.Element {
  const page = usePage();
  const { detail } = page.state.value;
  const answer = answerTo(detail, alert.id);
  return (
    <article
      id={`card-${alert.id}`}
      class={`alert alert-${alert.severity} alert-is-${alert.state}${
        page.shownCard.value === alert.id ? " is-shown" : ""
      }`}
      data-testid="alert-card"
      data-alert={alert.id}
      data-rule={alert.rule}
      data-state={alert.state}
      data-severity={alert.severity}
      data-step={alert.step}
      data-verdict={alert.verdict ?? ""}
      data-silenced={isSilenced(alert, page.wallS.value)}
    >
      <header class="alert-head">
        <HealthLight health={alert.severity} />
        <h3>
          {ruleTitle(alert.rule)}
          {alert.component !== null && <span class="alert-component"> {alert.component}</span>}
        </h3>
        <span class={`badge badge-${alert.state}`}>{isOver(run) && isOpen(alert) ? OPEN_AT_END : alert.state}</span>
      </header>
      <p class="alert-since number">
        {alert.severity}, since step {step(alert.step)}
        {endText(alert)}
        <When atS={alert.firedS} />
      </p>
      <Findings alert={alert} run={run} />
      {answer !== null && <CommandLife command={answer} run={run} />}
      <Deeds alert={alert} run={run} answer={answer} offered={offered} />
      <AlertEvidence alert={alert} />
      <Sayings alert={alert} />
    </article>
  );
}

/** What the rule found. */
function Findings({ alert, run }: { alert: Alert; run: Run }): JSX.Element {
  const { detail } = usePage().state.value;
  const reflex = reflexOf(detail, alert.id);
  const stage = stageAhead(alert, useStages());
  return (
    <>
      {stage !== null && <AheadLine stage={stage} run={run} alert={alert.id} />}
      <p class="alert-message">{stage === null ? alert.message : withoutAhead(alert.message)}</p>
      <ForecastLine alert={alert} />
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
    </>
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

interface DeedsProps {
  readonly alert: Alert;
  readonly run: Run;
  readonly answer: Command | null;
  readonly offered: Remedy | null;
}

function Deeds({ alert, run, answer, offered }: DeedsProps): JSX.Element | null {
  const page = usePage();
  const fault = useSignal<string | null>(null);
  const isSending = useSignal(false);
  if (!canControl(page.state.value) || isOver(run)) return null;
  const isDue = alert.remedy !== null && alert.state !== "resolved" && !isSameRemedy(alert.remedy, offered);
  const acknowledge = async (): Promise<void> => {
    isSending.value = true;
    fault.value = await page.actions.acknowledge(alert.id);
    isSending.value = false;
  };
  return (
    <footer class="alert-deeds">
      {alert.remedy !== null && isDue && (
        <RemedyDeed
          remedy={alert.remedy}
          run={run}
          alert={alert.id}
          isAnswered={answer !== null && (isPending(answer) || answer.state === "applied")}
        />
      )}
      {isOpen(alert) && (
        <button
          type="button"
          class="button"
          data-testid="alert-ack"
          disabled={isSending.value || page.state.value.link !== "up"}
          onClick={() => void acknowledge()}
        >
          Acknowledge
        </button>
      )}
      {fault.value !== null && <p class="fault">{fault.value}</p>}
    </footer>
  );
}
