/**
 * The keyboard.
 *
 * Rules of this file: a key that is being typed into a field or pressed on a button is not ours; lib/keys.ts says what
 * each stands for; what would change a run is only opened.
 */
import { useEffect } from "preact/hooks";
import { type KeyDeed, readKeys } from "../lib/keys";
import { NEWEST } from "../lib/route";
import type { OrderKind } from "../lib/errands";
import { type Page, usePage } from "./context";
import { leadTo } from "./leadTo";
import { FILTER_ID } from "./RunList";
import type { Open } from "./useOpen";

/** So long the first of two keys waits for the second. */
const TWO_KEYS_MS = 1500;

/** Listens while the caller is on the screen. */
export function useKeys(onOpen: (open: Open) => void): void {
  const page = usePage();
  useEffect(() => {
    let typed: string[] = [];
    let typedMs = 0;
    const onKey = (event: KeyboardEvent): void => {
      if (event.altKey || event.repeat || document.querySelector("dialog[open]") !== null) return;
      const isPalette = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k";
      if (isPalette && !page.state.value.needsToken) {
        event.preventDefault();
        onOpen({ kind: "palette" });
        return;
      }
      if (event.ctrlKey || event.metaKey || event.key === "Shift") return;
      if (event.key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
      if (!page.habits.value.keys || isTyping(event.target) || (event.key === " " && isPressable(event.target))) return;
      if (event.timeStamp - typedMs > TWO_KEYS_MS) typed = [];
      typed = [...typed, event.key];
      typedMs = event.timeStamp;
      const deed = readKeys(typed) ?? readKeys([event.key]);
      if (deed !== "begun") typed = [];
      if (deed === null) return;
      event.preventDefault();
      if (deed !== "begun") doDeed(deed, page, onOpen);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [page, onOpen]);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("input:not([type=range]), textarea, select") !== null;
}

/** Space presses what has the focus; it must not pause the run as well. */
function isPressable(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("button, summary, a, input") !== null;
}

function doDeed(deed: KeyDeed, page: Page, onOpen: (open: Open) => void): void {
  const { actions, state } = page;
  if (state.value.needsToken && deed !== "keys") return;
  const doing: Readonly<Record<KeyDeed, () => void>> = {
    palette: () => onOpen({ kind: "palette" }),
    keys: () => onOpen({ kind: "keys" }),
    find: () => find(onOpen),
    home: () => actions.go({ view: "home" }),
    run: () => actions.go({ ...NEWEST, run: state.value.selected }),
    next: () => beside(page, 1),
    previous: () => beside(page, -1),
    incidents: () => leadTo("#alerts"),
    charts: () => leadTo("#charts"),
    control: () => leadTo("#control"),
    follow: () => actions.setRange({ kind: "all" }),
    copy: () => actions.copyLink(),
    pause: () => openPause(page, onOpen),
  };
  doing[deed]();
}

/** The view's own field to find runs with, else the palette. */
function find(onOpen: (open: Open) => void): void {
  const fields = document.querySelectorAll<HTMLInputElement>(`main input[type=search], #${FILTER_ID}`);
  const field = [...fields].find((one) => one.checkVisibility());
  if (field === undefined) onOpen({ kind: "palette" });
  else {
    field.focus();
    field.select();
  }
}

function beside(page: Page, by: 1 | -1): void {
  const { order, selected } = page.state.value;
  const next = selected === null ? undefined : order[order.indexOf(selected) + by];
  if (page.route.value.view === "run" && next !== undefined) page.actions.select(next);
}

function openPause(page: Page, onOpen: (open: Open) => void): void {
  const { runs, selected } = page.state.value;
  const run = selected === null || page.route.value.view !== "run" ? undefined : runs[selected];
  const order: OrderKind | null = run?.state === "running" ? "pause" : run?.state === "paused" ? "resume" : null;
  if (order !== null) onOpen({ kind: "order", order });
}
