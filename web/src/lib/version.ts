/**
 * Two people at one run: what a person saw when they decided, and what was changed since by others.
 *
 * Rules of this file: pure; a version is the number of the newest command that was seen; what this page sent itself is
 * no surprise to the person who sits at it.
 */
import { STEERING } from "./deeds";
import type { Command } from "./models";

/** The newest command on the screen; 0 where there is none. */
export function versionOf(commands: readonly Command[]): number {
  return commands.reduce((newest, command) => Math.max(newest, command.number), 0);
}

/** What others did to the schedule after `seen`, oldest first. */
export function changedSince(commands: readonly Command[], seen: number, own: ReadonlySet<string>): Command[] {
  return commands
    .filter(({ id, number, kind, state }) => number > seen && !own.has(id) && STEERING.has(kind) && !isVoid(state))
    .sort((a, b) => a.number - b.number);
}

/**
 * The version that goes with an intention: what was seen, and what this page itself sent behind it without anything of
 * others between.
 */
export function expectedVersion(commands: readonly Command[], seen: number, own: ReadonlySet<string>): number {
  const [first] = changedSince(commands, seen, own);
  const known = commands.filter((command) => first === undefined || command.number < first.number);
  return Math.max(seen, versionOf(known));
}

/** It is not in force, and never will be. */
function isVoid(state: Command["state"]): boolean {
  return state !== "applied" && state !== "queued" && state !== "sent" && state !== "received";
}
