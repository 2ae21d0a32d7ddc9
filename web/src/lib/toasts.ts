/**
 * The news in the corner of the page: which are shown, and for how long.
 *
 * Rules of this file: pure, the time is given; what needs a person stays until it is closed or over; what is only nice
 * to know, or is on the screen anyway, goes by itself; more than a few are counted and not piled up.
 */
import { type News, isStillSo } from "./news";
import type { State } from "./state";

export const SHOWN_MAX = 3;
export const KEPT_MAX = 30;
/** Long enough to read two sentences. */
const BRIEF_MS = 10_000;

export interface Toast extends News {
  /** the page's clock when it goes by itself; null: it stays */
  readonly endsMs: number | null;
}

/** The newest first; news of something that is told already takes its place. */
export function withNews(toasts: readonly Toast[], news: News, nowMs: number, shownRun: string | null): Toast[] {
  const isBrief = news.tone === "calm" || (news.run !== null && news.run === shownRun);
  const rest = toasts.filter((toast) => toast.key !== news.key);
  return [{ ...news, endsMs: isBrief ? nowMs + BRIEF_MS : null }, ...rest].slice(0, KEPT_MAX);
}

export function without(toasts: readonly Toast[], key: string): readonly Toast[] {
  return keptIf(toasts, (toast) => toast.key !== key);
}

/** Those that are left now; the same list where none went. Nothing goes while a person is at it. */
export function leftAt(toasts: readonly Toast[], nowMs: number, state: State, isHeld: boolean): readonly Toast[] {
  return keptIf(toasts, (toast) => {
    if (!isStillSo(toast, state)) return false;
    return isHeld || toast.endsMs === null || toast.endsMs > nowMs;
  });
}

function keptIf(toasts: readonly Toast[], isKept: (toast: Toast) => boolean): readonly Toast[] {
  const kept = toasts.filter(isKept);
  return kept.length === toasts.length ? toasts : kept;
}
