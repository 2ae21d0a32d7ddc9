/**
 * The keyboard.
 *
 * Rules of this file: a key that is being typed into a field or pressed on a button is not ours; a pause by a single,
 * perhaps stray, space would be a surprise, so the first press only says what the second will do.
 */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { whyNoControl } from "../lib/state";
import { type Page, usePage } from "./context";
import { FILTER_ID } from "./RunList";

const CONFIRM_MS = 3000;

/** Listens while the caller is on the screen; answers the sentence that a first press left. */
export function useKeys(onKeys: () => void): Signal<string | null> {
  const page = usePage();
  const hint = useSignal<string | null>(null);
  useEffect(() => {
    let timer = 0;
    const say = (text: string | null): void => {
      hint.value = text;
      window.clearTimeout(timer);
      timer = window.setTimeout(() => (hint.value = null), CONFIRM_MS);
    };
    const onKey = (event: KeyboardEvent): void => {
      if (
        event.ctrlKey ||
        event.metaKey ||
        event.altKey ||
        event.repeat ||
        document.querySelector("dialog[open]") !== null
      )
        return;
      if (event.key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
      if (isTyping(event.target) || (event.key === " " && isPressable(event.target))) return;
      if (pressed(event.key, page, hint.value !== null, say, onKeys)) event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => {
      window.removeEventListener("keydown", onKey);
      window.clearTimeout(timer);
    };
  }, [page, hint, onKeys]);
  return hint;
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("input:not([type=range]), textarea, select") !== null;
}

/** Space presses what has the focus; it must not pause the run as well. */
function isPressable(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("button, summary, a, input") !== null;
}

function pressed(
  key: string,
  page: Page,
  isConfirmed: boolean,
  say: (text: string | null) => void,
  onKeys: () => void,
): boolean {
  if (key === "?") onKeys();
  else if (key === "/") document.getElementById(FILTER_ID)?.focus();
  else if (key === "f") page.actions.setRange({ kind: "all" });
  else if (key === " ") pauseOrResume(page, isConfirmed, say);
  else return false;
  return true;
}

function pauseOrResume(page: Page, isConfirmed: boolean, say: (text: string | null) => void): void {
  const state = page.state.value;
  const run = state.selected === null ? undefined : state.runs[state.selected];
  const kind = run?.state === "running" ? "pause" : run?.state === "paused" ? "resume" : null;
  if (run === undefined || kind === null) return;
  const refusal = whyNoControl(state, run);
  if (refusal !== null) say(refusal);
  else if (!isConfirmed) say(`Press space again to ${kind} ${run.name}.`);
  else {
    say(null);
    page.actions.command(kind, {}).then(say, () => undefined);
  }
}
