/** The points around an onset, asked for once, and again while the window is still filling. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Points, Window } from "../../lib/evidence";
import type { Run } from "../../lib/models";
import { isOver } from "../../lib/state";
import { usePage } from "../context";

/** A window that is still filling is drawn again after so long. */
const AGAIN_MS = 2_000;

export interface Found {
  readonly points: Points | null;
  /** why there are none */
  readonly fault: string | null;
}

export function useEvidence(run: Run, series: readonly string[], { from, to }: Window): Found {
  const { evidence } = usePage().desks;
  const found = useSignal<Found>({ points: null, fault: null });
  const asked = JSON.stringify(series);
  const isFilling = !isOver(run) && (run.step ?? -1) <= to;
  useEffect(() => {
    const giveUp = new AbortController();
    const load = async (): Promise<void> => {
      const answer = await evidence.points(run.id, JSON.parse(asked) as string[], { from, to }, giveUp.signal);
      if (giveUp.signal.aborted) return;
      if (answer.ok) found.value = { points: answer.value, fault: null };
      else if (found.value.points === null) found.value = { points: null, fault: answer.fault };
    };
    void load();
    const again = (): void => void (document.visibilityState === "visible" && load());
    const timer = isFilling ? window.setInterval(again, AGAIN_MS) : undefined;
    return () => {
      giveUp.abort();
      window.clearInterval(timer);
    };
    // A rollback makes another attempt's or branch's points: the window is asked for again.
  }, [evidence, found, run.id, run.attempt, asked, from, to, isFilling]);
  return found.value;
}
