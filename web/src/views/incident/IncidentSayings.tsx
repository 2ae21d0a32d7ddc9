/** What a person says of a whole incident, which is of each of its alerts: seen, true or false, not now. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Alert, Verdict } from "../../lib/models";
import { SILENCES, VERDICT_WORDS, silenceText, silencedOf, verdictOf } from "../../lib/sayings";
import { canControl, isOpen } from "../../lib/state";
import { usePage } from "../context";

const VERDICTS: readonly Verdict[] = ["true", "false"];

interface Props {
  readonly alerts: readonly Alert[];
  /** whether the run is over, and nothing is to be acknowledged any more */
  readonly isPast: boolean;
}

export function IncidentSayings({ alerts, isPast }: Props): JSX.Element | null {
  const page = usePage();
  const fault = useSignal<string | null>(null);
  const isSending = useSignal(false);
  if (alerts.length === 0) return null;
  if (!canControl(page.state.value)) return <SaidOnly alerts={alerts} />;
  const isAble = page.state.value.link === "up" && !isSending.value;
  const all = async (those: readonly Alert[], say: (alert: string) => Promise<string | null>): Promise<void> => {
    isSending.value = true;
    const faults = await Promise.all(those.map((alert) => say(alert.id)));
    fault.value = faults.find((one) => one !== null) ?? null;
    isSending.value = false;
  };
  const waiting = isPast ? [] : alerts.filter(isOpen);
  const current = alerts.filter((alert) => alert.state !== "resolved");
  return (
    <div class="incident-sayings" data-testid="incident-sayings">
      {waiting.length > 0 && (
        <button
          type="button"
          class="button button-small"
          data-testid="incident-ack"
          title="Says that somebody has seen it and looks after it; it stays open until its rules are quiet"
          disabled={!isAble}
          onClick={() => void all(waiting, page.actions.acknowledge)}
        >
          {waiting.length === 1 ? "Acknowledge its alert" : `Acknowledge its ${waiting.length} alerts`}
        </button>
      )}
      <Verdicts
        said={verdictOf(alerts)}
        isAble={isAble}
        onSay={(verdict) => void all(alerts, (alert) => page.actions.judge(alert, verdict))}
      />
      {!isPast && current.length > 0 && (
        <Silence
          alerts={current}
          isAble={isAble}
          onSay={(minutes) => void all(current, (alert) => page.actions.silence(alert, minutes))}
        />
      )}
      {fault.value !== null && <p class="fault">{fault.value}</p>}
    </div>
  );
}

function Verdicts(props: {
  said: Verdict | null;
  isAble: boolean;
  onSay: (verdict: Verdict | null) => void;
}): JSX.Element {
  return (
    <span class="saying-group" role="group" aria-label="Was the incident real?">
      {VERDICTS.map((verdict) => {
        const isSaid = props.said === verdict;
        return (
          <button
            key={verdict}
            type="button"
            class="button button-small saying-button"
            data-testid={`incident-verdict-${verdict}`}
            aria-pressed={isSaid}
            title={
              isSaid
                ? "Press again to take it back from all of its alerts."
                : `Says of all of its alerts: ${VERDICT_WORDS[verdict]}. It counts for the rules' precision and changes nothing else.`
            }
            disabled={!props.isAble}
            onClick={() => props.onSay(isSaid ? null : verdict)}
          >
            {isSaid ? "✓ " : ""}
            {VERDICT_WORDS[verdict]}
          </button>
        );
      })}
    </span>
  );
}

function Silence(props: {
  alerts: readonly Alert[];
  isAble: boolean;
  onSay: (minutes: number) => void;
}): JSX.Element {
  const { wallS } = usePage();
  const silenced = silencedOf(props.alerts, wallS.value);
  if (silenced !== null)
    return (
      <span class="saying-group">
        <span class="number" data-testid="incident-silenced">
          silenced {silenceText(silenced, wallS.value)}
        </span>
        <button
          type="button"
          class="button button-small saying-button"
          data-testid="incident-silence-0"
          title="Notifications of its alerts are sent again from now on."
          disabled={!props.isAble}
          onClick={() => props.onSay(0)}
        >
          notify again
        </button>
      </span>
    );
  return (
    <span class="saying-group" role="group" aria-label="Silence the notifications of its alerts for">
      <span class="quiet">silence</span>
      {SILENCES.map(({ name, minutes }) => (
        <button
          key={minutes}
          type="button"
          class="button button-small saying-button"
          data-testid={`incident-silence-${minutes}`}
          title={`No notification of its alerts is sent for ${name}. It stays on the page; an alert that joins it later is told.`}
          disabled={!props.isAble}
          onClick={() => props.onSay(minutes)}
        >
          {name}
        </button>
      ))}
    </span>
  );
}

/** For who may only look. */
function SaidOnly({ alerts }: { alerts: readonly Alert[] }): JSX.Element | null {
  const { wallS } = usePage();
  const verdict = verdictOf(alerts);
  const silenced = silencedOf(alerts, wallS.value);
  const said = [
    ...(verdict === null ? [] : [`Verdict: ${VERDICT_WORDS[verdict]}`]),
    ...(silenced === null ? [] : [`Silenced ${silenceText(silenced, wallS.value)}`]),
  ];
  if (said.length === 0) return null;
  return (
    <p class="incident-sayings number" data-testid="incident-sayings">
      {said.join(" · ")}
    </p>
  );
}
