/**
 * What a chart says about itself: what was done to the points before they were drawn.
 *
 * Rules of this file: pure; nothing that changes how a curve looks goes unsaid.
 */
import { scaleNote } from "../../charts/axes";
import type { Choices } from "../../charts/picture";
import { step } from "../../lib/format";
import type { Facts } from "./useLiveChart";

/** In sentences without their full stops. */
export function notesOf(facts: Facts | null, choices: Choices): string[] {
  if (facts === null) return [];
  const { form, scale, threshold, smoothSteps, hangsBelow } = facts;
  const notes: string[] = [];
  if (form === "shares") notes.push(`of the sum of magnitudes${hangsBelow ? "; negative parts hang below 0" : ""}`);
  if (choices.form === "areas" && choices.scale === "linear" && form === "lines")
    notes.push("lines: a part is negative, or the total is hidden");
  if (smoothSteps > 0) notes.push(`smoothed, mean of ${step(smoothSteps)} steps; faint: lowest to highest`);
  const linear = scaleNote(scale, threshold);
  if (linear !== "") notes.push(linear);
  return notes;
}
