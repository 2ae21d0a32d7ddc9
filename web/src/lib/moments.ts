/**
 * When something was, as people say it.
 *
 * Rules of this file: pure; times are epoch seconds of the server's clock, now is given; the day is said where it is not
 * today's.
 */
import { duration } from "./format";

const DAY_S = 86_400;

/** "14:28:12", and "Fri 14:28" of another day; empty where no time is known. */
export function clockText(atS: number | null, nowS: number): string {
  if (atS === null || atS <= 0) return "";
  const at = new Date(atS * 1000);
  const isToday = at.toDateString() === new Date(nowS * 1000).toDateString();
  if (isToday) return at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  const isNear = Math.abs(nowS - atS) < 6 * DAY_S;
  const day = isNear ? { weekday: "short" as const } : { day: "numeric" as const, month: "short" as const };
  return `${at.toLocaleDateString([], day)} ${time}`;
}

/** Nobody reads seconds of what is coarse anyway. */
const NOW_S = 20;

/** "just now", "9 min ago", "2 h 5 m ago". */
export function agoText(atS: number | null, nowS: number): string {
  if (atS === null || atS <= 0) return "";
  const past = nowS - atS;
  if (past < NOW_S) return "just now";
  if (past < 60) return "a minute ago";
  return past < 3600 ? `${Math.floor(past / 60)} min ago` : `${duration(past)} ago`;
}
