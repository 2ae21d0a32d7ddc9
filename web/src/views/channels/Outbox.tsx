/** What was sent, what is owed, and what the other side said last; the newest first. */
import type { JSX } from "preact";
import { type Notice, dueText, kindText, stateText } from "../../lib/channels";
import { step } from "../../lib/format";
import { fullNameOf } from "../../lib/runNames";
import { HealthLight } from "../HealthLight";
import { usePage } from "../context";

export function Outbox({ notices }: { notices: readonly Notice[] | null }): JSX.Element {
  const wallS = usePage().wallS.value;
  if (notices === null) return <p class="quiet">Loading…</p>;
  if (notices.length === 0) return <p class="quiet">Nothing was to be sent yet. Tests do not stand here.</p>;
  return (
    <ul class="outbox" aria-label="Outbox, newest first">
      {notices.map((notice) => (
        <NoticeRow key={`${notice.key} ${notice.channel}`} notice={notice} wallS={wallS} />
      ))}
    </ul>
  );
}

function NoticeRow({ notice, wallS }: { notice: Notice; wallS: number }): JSX.Element {
  const { runs } = usePage().state.value;
  const run = notice.run !== null && Object.hasOwn(runs, notice.run) ? runs[notice.run] : undefined;
  const facts = [
    new Date(notice.createdS * 1000).toLocaleString(),
    notice.channel,
    ...(run === undefined ? [] : [fullNameOf(run)]),
    ...(notice.step === null ? [] : [`step ${step(notice.step)}`]),
    kindText(notice),
  ];
  const isBad = notice.state === "given_up" || notice.state === "dropped";
  return (
    <li class="notice" data-testid="notice" data-state={notice.state}>
      <HealthLight health={notice.severity} />
      <div class="notice-what">
        <p class="quiet number">{facts.join(" · ")}</p>
        <p>{notice.message}</p>
        {notice.said !== null && notice.state !== "delivered" && <p class="fault">{notice.said}</p>}
      </div>
      <span class="notice-state number">
        <span class={isBad ? "tone-critical" : ""}>{stateText(notice)}</span>
        <span class="quiet">{dueText(notice, wallS)}</span>
      </span>
    </li>
  );
}
