/** The schedule of the run on the screen, for every view that speaks of it. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { StageMark } from "../../lib/models";
import { stagesAsTheyCome } from "../../lib/schedule";
import { usePage } from "../context";
import type { Scheduled } from "./useSchedule";

export const ScheduleContext = createContext<Scheduled>({ schedule: null, fault: null });

/** The stages with the steps at which they really began, or will begin. */
export function useStages(): StageMark[] {
  const { detail } = usePage().state.value;
  return stagesAsTheyCome(detail.stages, useContext(ScheduleContext).schedule, detail.events);
}
