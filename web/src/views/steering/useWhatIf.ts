/** Asks the server what a change would have made of the last steps, once the value has stood still for a moment. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Fields } from "../../lib/decode";
import type { WhatIf } from "../../lib/whatIf";
import { usePage } from "../context";

/** A slider moves at every frame; a person who stops for this long wants to know. */
const STILL_MS = 150;
/** The last steps move on: what is still on the screen is asked again. */
const AGAIN_MS = 15_000;

export type Foreseen =
  | { readonly kind: "none" }
  | { readonly kind: "asked" }
  | { readonly kind: "told"; readonly whatIf: WhatIf }
  | { readonly kind: "refused"; readonly why: string };

const NONE: Foreseen = { kind: "none" };

/** `args` null: nothing is proposed. An answer to a value that has moved on is thrown away. */
export function useWhatIf(run: string, kind: string, args: Fields | null): Foreseen {
  const { control } = usePage().desks;
  const foreseen = useSignal<Foreseen>(NONE);
  const asked = args === null ? null : JSON.stringify(args);
  useEffect(() => {
    if (asked === null) {
      foreseen.value = NONE;
      return undefined;
    }
    foreseen.value = { kind: "asked" };
    const giveUp = new AbortController();
    const ask = async (): Promise<void> => {
      const answer = await control.whatIf(run, kind, JSON.parse(asked) as Fields, giveUp.signal);
      if (giveUp.signal.aborted) return;
      foreseen.value = answer.ok ? { kind: "told", whatIf: answer.value } : { kind: "refused", why: answer.fault };
    };
    const timer = window.setTimeout(() => void ask(), STILL_MS);
    const again = window.setInterval(() => {
      if (document.visibilityState === "visible") void ask();
    }, AGAIN_MS);
    return () => {
      window.clearTimeout(timer);
      window.clearInterval(again);
      giveUp.abort();
    };
  }, [control, foreseen, run, kind, asked]);
  return foreseen.value;
}
