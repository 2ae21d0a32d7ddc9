/**
 * The keys of the charts: move the window, widen it, follow again, smooth.
 *
 * Rules of this file: a key that is typed into a field or means something to what has the focus is not ours; a key that is
 * held is heard a few times a second, because every window asks the server for its detail.
 */
import { useEffect } from "preact/hooks";
import { type Window } from "../../lib/fold";
import { panned, widened } from "../../lib/pan";
import { nextSmoothing } from "../../lib/smooth";
import { type Page, usePage } from "../context";
import { shownWindow } from "./windows";

const REPEAT_MS = 200;
/** A step aside keeps three quarters of what one sees; a page keeps a tenth. */
const ASIDE = 0.25;
const PAGE = 0.9;
const CLOSER = 0.5;

export function useChartKeys(): void {
  const page = usePage();
  useEffect(() => {
    let heardAtMs = -Infinity;
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !page.habits.value.keys) return;
      if (document.querySelector("dialog[open]") !== null || isTaken(event.target, event.key)) return;
      if (event.repeat && event.timeStamp - heardAtMs < REPEAT_MS) return;
      if (!pressed(event, page)) return;
      heardAtMs = event.timeStamp;
      event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [page]);
}

function isTaken(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof Element)) return false;
  // A slider takes arrows, and Escape leaves a field before it leaves a zoom.
  const isField = target.closest("input, textarea, select") !== null;
  return isField || (key.startsWith("Arrow") && target.closest("[role=tablist], [role=menu], [role=listbox]") !== null);
}

function pressed(event: KeyboardEvent, page: Page): boolean {
  const { actions, store, range, prefs } = page;
  if (event.key === "s") {
    prefs.value = { ...prefs.value, smoothing: nextSmoothing(prefs.value.smoothing) };
    return true;
  }
  if (event.key === "Escape" && range.value.kind === "fixed") {
    actions.setRange({ kind: "all" });
    return true;
  }
  const extent = store.extent();
  const shown = shownWindow(page);
  if (extent === null || shown === null) return false;
  const next = moved(event, shown, extent, page.cursor.value);
  if (next === null) return false;
  actions.setRange(next);
  return true;
}

function moved(
  { key, shiftKey }: KeyboardEvent,
  shown: Window,
  extent: readonly [number, number],
  about: number | null,
): ReturnType<typeof panned> | null {
  const by = shiftKey ? PAGE : ASIDE;
  if (key === "ArrowLeft") return panned(shown, extent, -by);
  if (key === "ArrowRight") return panned(shown, extent, by);
  if (key === "+" || key === "=") return widened(shown, extent, CLOSER, about ?? undefined);
  if (key === "-") return widened(shown, extent, 1 / CLOSER, about ?? undefined);
  return null;
}
