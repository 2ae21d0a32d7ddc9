/**
 * Draws a series of trips as one: a run that trips at every step must not hide its curves behind lines.
 *
 * Rules of this file: pure; what is near depends on the window that is seen, so that zooming in tells trips apart;
 * marks of other kinds are left as they are.
 */
import type { Window } from "../lib/fold";
import { step as stepText } from "../lib/format";
import type { Mark } from "./overlay";

/** Trips nearer than this part of the window are one series. */
const NEAR_SHARE = 0.02;

/** The marks, in the order of their steps, where neighbouring trips have become one with a `to`. */
export function gathered(marks: readonly Mark[], window: Window): Mark[] {
  const near = Math.max(1, (window.to - window.from) * NEAR_SHARE);
  const groups: Mark[][] = [];
  for (const mark of marks.filter(({ kind }) => kind === "trip")) {
    const group = groups.at(-1);
    if (group !== undefined && mark.step - (group.at(-1)?.step ?? 0) <= near) group.push(mark);
    else groups.push([mark]);
  }
  const others = marks.filter(({ kind }) => kind !== "trip");
  // Trips before others of their step: a worse mark is drawn last, upon them.
  return [...groups.flatMap(oneOf), ...others].sort((a, b) => a.step - b.step);
}

function oneOf(trips: readonly Mark[]): Mark[] {
  const [first] = trips;
  const to = trips.at(-1)?.step ?? 0;
  if (first === undefined || to === first.step) return [...trips];
  return [
    {
      id: `${first.id}-${to}`,
      kind: "trip",
      severity: trips.some(({ severity }) => severity === "critical") ? "critical" : "warning",
      step: first.step,
      to,
      text: `${trips.length} trips, steps ${stepText(first.step)} to ${stepText(to)}; the first: ${first.text.replace(/^trip: /, "")}`,
      card: trips.find(({ card }) => card !== null)?.card ?? null,
    },
  ];
}
