/**
 * What people say of an alert: a true or a false alarm, and not now.
 *
 * Rules of this file: pure; the time of now is given, in epoch seconds as the server's are.
 */
import type { Alert, Verdict } from "./models";

export const VERDICT_WORDS: Readonly<Record<Verdict, string>> = { true: "true alarm", false: "false alarm" };

export const SILENCES: readonly { readonly name: string; readonly minutes: number }[] = [
  { name: "1 h", minutes: 60 },
  { name: "8 h", minutes: 480 },
  { name: "1 day", minutes: 1440 },
];

export function isSilenced(alert: Alert, wallS: number): boolean {
  return alert.silencedUntilS !== null && alert.silencedUntilS > wallS;
}

const HOUR_S = 3600;
const DAY_S = 86_400;

/** "until 14:05 (58 min)", with the day where that is not within a day; empty when it is not silenced. */
export function silenceText(alert: Alert, wallS: number): string {
  const untilS = alert.silencedUntilS;
  if (untilS === null || untilS <= wallS) return "";
  const until = new Date(untilS * 1000);
  const at = until.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const day = untilS - wallS < DAY_S ? "" : `${until.toLocaleDateString([], { weekday: "short" })} `;
  return `until ${day}${at} (${leftText(untilS - wallS)})`;
}

/** Rounded: now is not known to the second. */
function leftText(seconds: number): string {
  if (seconds < 1.5 * HOUR_S) return `${Math.max(1, Math.round(seconds / 60))} min`;
  return seconds < 2 * DAY_S ? `${Math.round(seconds / HOUR_S)} h` : `${Math.round(seconds / DAY_S)} days`;
}

/** What was said, in few words, for a line: "false alarm · silenced"; empty when nothing was. */
export function sayingsText(alert: Alert, wallS: number): string {
  const said = alert.verdict === null ? [] : [VERDICT_WORDS[alert.verdict]];
  return [...said, ...(isSilenced(alert, wallS) ? ["silenced"] : [])].join(" · ");
}

/** What was said of all of these alerts alike; null where it was not, or not of all. */
export function verdictOf(alerts: readonly Alert[]): Verdict | null {
  const first = alerts[0]?.verdict ?? null;
  return alerts.every((alert) => alert.verdict === first) ? first : null;
}

/** The one of these alerts that is silenced for the shortest, where all are; else null. */
export function silencedOf(alerts: readonly Alert[], wallS: number): Alert | null {
  if (!alerts.every((alert) => isSilenced(alert, wallS))) return null;
  return alerts.reduce<Alert | null>(
    (least, alert) => (least === null || (alert.silencedUntilS ?? 0) < (least.silencedUntilS ?? 0) ? alert : least),
    null,
  );
}
