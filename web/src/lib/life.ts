/**
 * The stations of a command's life, and when each was reached.
 *
 * Rules of this file: pure. What changes the training is judged some steps after it was applied, so its life goes on to
 * its effect; of a command that can have none it ends with being applied.
 */
import { STEERING } from "./deeds";
import { duration } from "./format";
import type { Command } from "./models";

export const ROAD = ["queued", "sent", "received", "applied"] as const;
export type Station = (typeof ROAD)[number] | "effect";

export interface Stop {
  readonly name: Station;
  readonly isReached: boolean;
  readonly isNow: boolean;
  /** epoch seconds, where the server tells */
  readonly atS: number | null;
}

/** Whether the server will say what came of it. */
export function isJudged({ kind }: Command): boolean {
  return STEERING.has(kind) || kind === "rollback";
}

export function stopsOf(command: Command): Stop[] {
  const isOnRoad = ROAD.some((state) => state === command.state);
  const reached = isOnRoad ? ROAD.findIndex((state) => state === command.state) : lastReached(command);
  const stops = ROAD.map((name, i): Stop => {
    const atS = command.history.findLast((entry) => entry.state === name)?.atS ?? null;
    return { name, isReached: i <= reached, isNow: name === command.state && command.effect === null, atS };
  });
  if (!isJudged(command)) return stops;
  const isTold = command.effect !== null;
  return [...stops, { name: "effect", isReached: isTold, isNow: isTold, atS: null }];
}

function lastReached(command: Command): number {
  return Math.max(...command.history.map((entry) => ROAD.findIndex((state) => state === entry.state)), 0);
}

/** "0.2 s after it was pressed"; empty where the times do not say it. */
export function tookText(command: Command): string {
  const appliedS = command.history.findLast((entry) => entry.state === "applied")?.atS ?? null;
  if (appliedS === null || command.createdS === null || appliedS < command.createdS) return "";
  return `${duration(appliedS - command.createdS)} after it was pressed`;
}

/** An applied command whose effect is not told yet. */
export function awaitsEffect(command: Command): boolean {
  return command.state === "applied" && command.effect === null && isJudged(command);
}
