/** One incident: what happened and since when, its cause, who is to blame, what to do, what went first, its alerts. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { culpritOf } from "../lib/evidence";
import { foretelling, stageAhead, withoutAhead } from "../lib/forecast";
import { step } from "../lib/format";
import { type Incident, alertOfRemedy, isSameArgs, titleOf } from "../lib/incidents";
import type { Alert, Command, Remedy, Run, StageMark } from "../lib/models";
import { sinceText } from "../lib/since";
import { OPEN_AT_END, answersTo, isOpen, isOver, isPending } from "../lib/state";
import { AlertLine } from "./AlertLine";
import { BlameBar } from "./BlameBar";
import { CommandLife } from "./CommandLife";
import { usePage } from "./context";
import { FirstSigns } from "./FirstSigns";
import { ForecastLine } from "./ForecastLine";
import { HealthLight } from "./HealthLight";
import { AheadLine } from "./incident/AheadLine";
import { EvidenceChart } from "./incident/EvidenceChart";
import { IncidentLink } from "./incident/IncidentLink";
import { IncidentSayings } from "./incident/IncidentSayings";
import { IncidentTimeline } from "./incident/IncidentTimeline";
import { When } from "./incident/When";
import { OriginFacts } from "./OriginFacts";
import { RemedyDeed } from "./RemedyDeed";
import { useStages } from "./steering/schedule";

interface Props {
  readonly incident: Incident;
  /** its own, those that need a person first */
  readonly alerts: readonly Alert[];
  readonly run: Run;
}

export function IncidentCard({ incident, alerts, run }: Props): JSX.Element {
  const head = alerts.find((alert) => alert.id === incident.headline.alert);
  const chosen = useSignal<string | null>(null);
  const drawn = chosen.value ?? culpritOf(incident);
  return (
    <article
      class={`alert incident alert-${incident.severity}${incident.isOpen ? "" : " alert-is-resolved"}`}
      data-testid="incident"
      data-incident={incident.id}
      data-severity={incident.severity}
      data-state={incident.isOpen ? "open" : "closed"}
    >
      <header class="alert-head">
        <HealthLight health={incident.severity} />
        <h3 title={`rule: ${incident.headline.rule}`}>{titleOf(incident)}</h3>
        <span class={`badge badge-${incident.isOpen ? "firing" : "resolved"}`}>{stateWord(incident, alerts, run)}</span>
      </header>
      <p class="alert-since number">
        {incident.severity}, {spanText(incident)}
        <When atS={incident.openedS} />
      </p>
      <Story incident={incident} alerts={alerts} run={run} head={head} />
      <Deeds incident={incident} alerts={alerts} run={run} />
      {incident.cause !== "" && (
        <p class="cause" data-testid="cause">
          {incident.cause}
        </p>
      )}
      <EvidenceChart incident={incident} alerts={alerts} run={run} series={drawn} />
      <FirstSigns incident={incident} drawn={drawn} onDraw={(series) => (chosen.value = series)} />
      <IncidentTimeline incident={incident} alerts={alerts} run={run} />
      <Alerts alerts={alerts} run={run} offered={incident.isOpen ? incident.remedy : null} />
    </article>
  );
}

/** Whether it goes on, and whether somebody has seen it. */
function stateWord(incident: Incident, alerts: readonly Alert[], run: Run): string {
  if (!incident.isOpen) return "closed";
  if (isOver(run)) return OPEN_AT_END;
  const isSeen = alerts.length > 0 && !alerts.some(isOpen) && alerts.some((alert) => alert.state === "acknowledged");
  return isSeen ? "open, acknowledged" : "open";
}

function spanText({ isOpen: isStillOpen, firstStep, lastStep }: Incident): string {
  return isStillOpen ? `since step ${step(firstStep)}` : `from step ${step(firstStep)} to ${step(lastStep)}`;
}

/** What happened, and why. */
function Story({ incident, alerts, run, head }: Props & { head: Alert | undefined }): JSX.Element {
  const origin = alerts.find((alert) => alert.origin !== null)?.origin ?? null;
  const foretells = incident.isOpen ? foretelling(alerts) : null;
  const stages = useStages();
  const { message } = incident.headline;
  const isAhead = head !== undefined && stageAhead(head, stages) !== null;
  return (
    <>
      {coming([head, ...alerts.filter(isOpen)], stages).map(([stage, alert]) => (
        <AheadLine key={stage.index} stage={stage} run={run} alert={alert} />
      ))}
      <p class="alert-message incident-headline" data-testid="incident-headline">
        {isAhead ? withoutAhead(message) : message}
      </p>
      {foretells !== null && <ForecastLine alert={foretells} />}
      {origin !== null && <OriginFacts origin={origin} />}
      {incident.blame !== null && (
        <BlameBar
          blame={incident.blame}
          components={run.components.map((component) => component.name)}
          said={message}
        />
      )}
    </>
  );
}

/** The stages that these alerts saw coming, each with the first that did. */
function coming(alerts: readonly (Alert | undefined)[], stages: readonly StageMark[]): [StageMark, string][] {
  const seen = new Map<StageMark, string>();
  for (const alert of alerts) {
    const stage = alert === undefined ? null : stageAhead(alert, stages);
    if (alert !== undefined && stage !== null && !seen.has(stage)) seen.set(stage, alert.id);
  }
  return [...seen];
}

/** What can be done: the remedy, what became of it, and what a person says of all this. */
function Deeds({ incident, alerts, run }: Props): JSX.Element {
  const page = usePage();
  const answers = answersTo(page.state.value.detail, new Set(alerts.map((alert) => alert.id)));
  const { remedy } = incident;
  return (
    <>
      {answers[0] !== undefined && <CommandLife command={answers[0]} run={run} />}
      {answers[0] !== undefined && <Since command={answers[0]} />}
      {remedy !== null && incident.isOpen && (
        <div class="alert-deeds">
          <RemedyDeed
            remedy={remedy}
            run={run}
            alert={alertOfRemedy(incident, alerts)}
            isAnswered={answers.some((command) => isDoing(command, remedy))}
          />
        </div>
      )}
      <div class="incident-foot">
        <IncidentSayings alerts={alerts} isPast={isOver(run)} />
        <IncidentLink run={incident.run} alert={incident.headline.alert} />
      </div>
    </>
  );
}

/** What came of it, where the page holds the points that say so. */
function Since({ command }: { command: Command }): JSX.Element | null {
  const page = usePage();
  void page.pointsSeen.value;
  const said = sinceText(command, page.store.buffers.get("loss/total"));
  if (said === null) return null;
  return (
    <p class="since number" data-testid="since">
      {said}
    </p>
  );
}

function isDoing(command: Command, remedy: Remedy): boolean {
  const isUnderWay = isPending(command) || command.state === "applied";
  return isUnderWay && command.kind === remedy.kind && isSameArgs(command.args, remedy.args);
}

/** So many lines are read at a glance. */
const LINES = 8;

function Alerts({ alerts, run, offered }: Pick<Props, "alerts" | "run"> & { offered: Remedy | null }): JSX.Element {
  const page = usePage();
  const later = alerts.slice(LINES);
  const line = (alert: Alert): JSX.Element => <AlertLine key={alert.id} alert={alert} run={run} offered={offered} />;
  return (
    <section class="incident-alerts" aria-label="Its alerts">
      <h4>{alerts.length === 1 ? "1 alert" : `${alerts.length} alerts`}</h4>
      {alerts.slice(0, LINES).map(line)}
      {later.length > 0 && (
        <details open={later.some((alert) => alert.id === page.shownCard.value)}>
          <summary class="quiet">{later.length} more</summary>
          {later.map(line)}
        </details>
      )}
    </section>
  );
}
