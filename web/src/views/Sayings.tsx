/** What a person says of an alert: a true or a false alarm, and that nobody is to be notified of it for a while. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Alert, Verdict } from "../lib/models";
import { SILENCES, VERDICT_WORDS, isSilenced, silenceText } from "../lib/sayings";
import { canControl } from "../lib/state";
import { usePage } from "./context";

const VERDICTS: readonly Verdict[] = ["true", "false"];

export function Sayings({ alert }: { alert: Alert }): JSX.Element {
  const page = usePage();
  const fault = useSignal<string | null>(null);
  const isSending = useSignal(false);
  const isAble = page.state.value.link === "up" && !isSending.value;
  const act = async (work: Promise<string | null>): Promise<void> => {
    isSending.value = true;
    fault.value = await work;
    isSending.value = false;
  };
  if (!canControl(page.state.value)) return <SaidOnly alert={alert} />;
  return (
    <div class="sayings" data-testid="sayings">
      <VerdictRow alert={alert} isAble={isAble} onSay={(verdict) => void act(page.actions.judge(alert.id, verdict))} />
      <SilenceRow alert={alert} isAble={isAble} onSay={(minutes) => void act(page.actions.silence(alert.id, minutes))} />
      {fault.value !== null && <p class="fault">{fault.value}</p>}
    </div>
  );
}

function VerdictRow(props: { alert: Alert; isAble: boolean; onSay: (verdict: Verdict | null) => void }): JSX.Element {
  const { alert, isAble, onSay } = props;
  return (
    <div class="saying" role="group" aria-label="Was the alert right?">
      <span class="saying-name">Verdict</span>
      {VERDICTS.map((verdict) => {
        const isSaid = alert.verdict === verdict;
        const hint = isSaid
          ? "Press again to take it back."
          : `Says that this was a ${VERDICT_WORDS[verdict]}. It counts for the rule's precision and changes nothing else.`;
        return (
          <button
            key={verdict}
            type="button"
            class="button button-small saying-button"
            data-testid={`verdict-${verdict}`}
            aria-pressed={isSaid}
            title={hint}
            disabled={!isAble}
            onClick={() => onSay(isSaid ? null : verdict)}
          >
            {isSaid ? "✓ " : ""}
            {VERDICT_WORDS[verdict]}
          </button>
        );
      })}
    </div>
  );
}

function SilenceRow(props: { alert: Alert; isAble: boolean; onSay: (minutes: number) => void }): JSX.Element | null {
  const { alert, isAble, onSay } = props;
  const { wallS } = usePage();
  if (isSilenced(alert, wallS.value))
    return (
      <div class="saying">
        <span class="saying-name">Silenced</span>
        <span class="number" data-testid="silenced">
          {silenceText(alert, wallS.value)}
        </span>
        <button
          type="button"
          class="button button-small saying-button"
          data-testid="silence-0"
          title="Notifications of this alert are sent again from now on."
          disabled={!isAble}
          onClick={() => onSay(0)}
        >
          notify again
        </button>
      </div>
    );
  if (alert.state === "resolved") return null;
  return (
    <div class="saying" role="group" aria-label="Silence its notifications for">
      <span class="saying-name">Silence</span>
      {SILENCES.map(({ name, minutes }) => (
        <button
          key={minutes}
          type="button"
          class="button button-small saying-button"
          data-testid={`silence-${minutes}`}
          title={`No notification of this alert is sent for ${name}. It stays on the page.`}
          disabled={!isAble}
          onClick={() => onSay(minutes)}
        >
          {name}
        </button>
      ))}
    </div>
  );
}

/** For who may only look. */
function SaidOnly({ alert }: { alert: Alert }): JSX.Element | null {
  const { wallS } = usePage();
  const silenced = silenceText(alert, wallS.value);
  if (alert.verdict === null && silenced === "") return null;
  return (
    <div class="sayings" data-testid="sayings">
      {alert.verdict !== null && <p class="saying">Verdict: {VERDICT_WORDS[alert.verdict]}</p>}
      {silenced !== "" && (
        <p class="saying number" data-testid="silenced">
          Silenced {silenced}
        </p>
      )}
    </div>
  );
}
