/** Moments, as a person in this place says them. */
import { ABSENT } from "../../lib/format";

const DAY = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export function dayText(seconds: number | null): string {
  return seconds === null ? ABSENT : DAY.format(seconds * 1000);
}
