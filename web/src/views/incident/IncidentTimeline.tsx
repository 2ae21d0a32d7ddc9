/** The incident as it went: alerts, commands and what came of them, in order; each leads to its card. */
import type { JSX } from "preact";
import { step } from "../../lib/format";
import type { Incident } from "../../lib/incidents";
import type { Alert, Run } from "../../lib/models";
import { clockText } from "../../lib/moments";
import { commandsOf } from "../../lib/state";
import { MOMENT_SIGNS, type Moment, folded, timelineOf } from "../../lib/timeline";
import { usePage } from "../context";
import { HealthLight } from "../HealthLight";

const SHOWN = 12;

interface Props {
  readonly incident: Incident;
  readonly alerts: readonly Alert[];
  readonly run: Run;
}

export function IncidentTimeline({ incident, alerts, run }: Props): JSX.Element {
  const { detail } = usePage().state.value;
  const moments = timelineOf(incident, {
    alerts,
    commands: commandsOf(detail),
    events: detail.events,
    now: run.step,
  });
  const isActedOn = moments.some((moment) => moment.kind === "command");
  const { head, rest, tail } = folded(moments, SHOWN);
  return (
    // What somebody did about it is what the next person must see; else it is the alerts again.
    <details class="timeline" open={isActedOn} data-testid="timeline">
      <summary>
        In order <span class="quiet">{countText(moments)}</span>
      </summary>
      <Rows moments={head} />
      {rest.length > 0 && (
        <details>
          <summary class="quiet">{rest.length} between</summary>
          <Rows moments={rest} />
        </details>
      )}
      <Rows moments={tail} />
    </details>
  );
}

function countText(moments: readonly Moment[]): string {
  const count = (kind: Moment["kind"], one: string, many: string): string[] => {
    const found = moments.filter((moment) => moment.kind === kind).length;
    return found === 0 ? [] : [`${found} ${found === 1 ? one : many}`];
  };
  return [
    ...count("alert", "alert", "alerts"),
    ...count("command", "command", "commands"),
    ...count("effect", "effect", "effects"),
  ].join(", ");
}

function Rows({ moments }: { moments: readonly Moment[] }): JSX.Element {
  return (
    <ol class="timeline-rows">
      {moments.map((moment, i) => (
        <Row key={`${i} ${moment.kind} ${moment.card ?? ""}`} moment={moment} />
      ))}
    </ol>
  );
}

function Row({ moment }: { moment: Moment }): JSX.Element {
  const page = usePage();
  const { kind, severity, card } = moment;
  const when = clockText(moment.atS, page.wallS.value);
  return (
    <li class={`timeline-row timeline-${kind}`} data-kind={kind} data-step={moment.step}>
      <span class="number quiet" title={when}>
        {step(moment.step)}
      </span>
      <span class="timeline-sign">
        {severity === null ? <span aria-hidden="true">{MOMENT_SIGNS[kind]}</span> : <HealthLight health={severity} />}
      </span>
      {card === null ? (
        <span class="timeline-text">{moment.text}</span>
      ) : (
        <a
          class="timeline-text"
          href={`#card-${card}`}
          title={`${when === "" ? "" : `${when}; `}leads to its card`}
          onClick={(event) => {
            event.preventDefault();
            page.actions.showCard(card);
          }}
        >
          {moment.text}
        </a>
      )}
    </li>
  );
}
