/** The schedule in force, asked for again whenever something was done to it, and now and then. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Run } from "../../lib/models";
import type { Schedule } from "../../lib/schedule";
import { scheduleMark } from "../../lib/schedule";
import { commandsOf, isOver } from "../../lib/state";
import { usePage } from "../context";

/** The clock goes on with the run: its position is as old as this at most. */
const AGAIN_MS = 3_000;

export interface Scheduled {
  readonly schedule: Schedule | null;
  readonly fault: string | null;
}

export function useSchedule(run: Run): Scheduled {
  const page = usePage();
  const found = useSignal<Scheduled>({ schedule: null, fault: null });
  const { detail, link } = page.state.value;
  // What was applied, and where the run went back: each makes another schedule.
  const mark = `${run.attempt} ${scheduleMark(commandsOf(detail), detail.events)}`;
  const goesOn = !isOver(run) && link === "up";
  useEffect(() => {
    let isWanted = true;
    const load = async (): Promise<void> => {
      const answer = await page.desks.control.schedule(run.id);
      if (!isWanted) return;
      // What is shown stays while the server is away; the page says elsewhere that it is.
      if (answer.ok) found.value = { schedule: answer.value, fault: null };
      else if (found.value.schedule === null) found.value = { schedule: null, fault: answer.fault };
    };
    void load();
    const again = (): void => void (document.visibilityState === "visible" && load());
    const timer = goesOn ? window.setInterval(again, AGAIN_MS) : undefined;
    return () => {
      isWanted = false;
      window.clearInterval(timer);
    };
  }, [page, found, run.id, mark, goesOn]);
  return found.value;
}
