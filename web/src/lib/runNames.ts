/**
 * What a run is called wherever a person reads of it, and how it is found by that.
 *
 * Rules of this file: pure; a person's own name goes before the script's, and both find the run.
 */
import type { Run } from "./models";

/** What a person calls it, else what its script does. */
export function nameOf({ name, label }: Pick<Run, "name" | "label">): string {
  return label === "" ? name : label;
}

/** With its project. */
export function fullNameOf(run: Pick<Run, "project" | "name" | "label">): string {
  return `${run.project}/${nameOf(run)}`;
}

/** Whether its names, its state or its tags hold what is wanted. */
export function isCalled(run: Run, wanted: string): boolean {
  const said = [`${run.project}/${run.name}`, fullNameOf(run), run.state, ...run.tags];
  return said.join("\n").toLowerCase().includes(wanted.trim().toLowerCase());
}
