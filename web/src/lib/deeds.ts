/**
 * What commands do and did, in words.
 *
 * Rules of this file: pure; each kind has one entry in the table, with what it does, and from what an applied command
 * brings back what it did; a kind that is not known is said by its name.
 */
import { type Fields, list, numberOrNull, text, textOrNull } from "./decode";
import { short, step, words } from "./format";
import type { Command } from "./models";
import { leaseText, termsText } from "./terms";
import { movedText, toldText } from "./told";

/** What changes the schedule that is in force; two people must not do it unseen by each other. */
export const STEERING: ReadonlySet<string> = new Set([
  "set_weight",
  "scale_weights",
  "gate",
  "hold_stage",
  "release_stage",
  "go_to_stage",
  "set_lr_scale",
  "set_clip",
  "revert",
]);

/** What a command does, or did. */
export function commandText(command: Command): string {
  const { kind, old, new: now } = command;
  if (kind === "set_weight" && old !== null)
    return `${text(command.args["component"])} weight ${toldText(old)} → ${toldText(now)}${termsText(command.args, null)}`;
  if (kind === "revert" && now !== null) return `reverted: ${movedText(command.old, command.new)}`;
  return deedText(kind, command.args);
}

/** What a command of this kind does, without what it changes from. */
export function deedText(kind: string, args: Fields): string {
  const say = DEEDS[kind];
  return say === undefined ? words(kind) : `${say(args)}${termsText(args, null)}`;
}

const DEEDS: Readonly<Record<string, (args: Fields) => string>> = {
  set_weight: (args) => `set ${text(args["component"])} weight to ${number(args["value"])}`,
  scale_weights: (args) => `${whose(args)} × ${number(args["factor"])}`,
  gate: (args) => `${text(args["component"])} ${args["open"] === true ? "takes part again" : "gated off"}`,
  hold_stage: () => "hold the stage",
  release_stage: () => "release the stage",
  go_to_stage: (args) => `go to stage ${text(args["stage"])}`,
  set_lr_scale: (args) => `learning rates × ${number(args["value"])}`,
  set_clip: (args) => `clip gradients to norm ${number(args["value"])}`,
  instrument: (args) => `full detail for ${step(numberOrNull(args["steps"]))} steps`,
  rollback: () => "roll back",
};

function number(value: unknown): string {
  return short(numberOrNull(value));
}

function whose(args: Fields): string {
  const named = list(args["components"]).filter((name) => typeof name === "string");
  return named.length === 0 ? "all weights" : `weights of ${named.join(", ")}`;
}

/** What an applied command brought about; null where its kind says it all. */
export function outcomeOf({ kind, old, new: now }: Pick<Command, "kind" | "old" | "new">): string | null {
  if (now === null) return null;
  if (kind === "instrument") return `full detail until step ${step(numberOrNull(now))}`;
  if (kind === "checkpoint") return toldText(now);
  if (kind === "rollback") {
    const to = step(numberOrNull(now));
    return old === null ? `to step ${to}` : `from step ${step(numberOrNull(old))} to ${to}`;
  }
  return movedText(old, now);
}

/** How an applied command was met: where, by how many ranks, with what result. */
export function appliedText(command: Command): string {
  const outcome = outcomeOf(command);
  if (command.kind === "rollback" && outcome !== null) return `applied: ${outcome}`;
  const ranks = command.ranks !== null && command.ranks > 1 ? ` on ${command.ranks} ranks` : "";
  const at = `applied at step ${step(command.step)}${ranks}`;
  return outcome === null ? at : `${at}: ${outcome}`;
}

/** Where a command is in its life, and why it ended as it did. */
export function resultOf(command: Command): string {
  switch (command.state) {
    case "applied":
      return appliedText(command);
    case "queued":
      return "stored; waiting for the trainer's connection";
    case "sent":
      return "on its way to the trainer";
    case "received":
      return "in the trainer; takes effect at the next step";
    default:
      return command.refusal === null ? words(command.state) : `${words(command.state)}: ${command.refusal}`;
  }
}

/** What a person should know of the run before they press. */
export interface Ground {
  readonly step: number | null;
  /** the curriculum's clock, where it is known */
  readonly position: number | null;
  readonly stage: string | null;
  readonly isHeld: boolean;
}

/** What will happen at the next step if this is sent. */
export function promiseText(kind: string, args: Fields, ground: Ground): string {
  const say = PROMISES[kind];
  if (say === undefined) return `At the next step: ${deedText(kind, args)}.`;
  return say(args, ground);
}

const BACK = "then it ends by itself";

const PROMISES: Readonly<Record<string, (args: Fields, ground: Ground) => string>> = {
  set_weight: (args, { step: now }) =>
    `From the next step on: ${text(args["component"])} weight ${number(args["value"])}${termsText(args, now)}.`,
  scale_weights: (args, { step: now }) =>
    `From the next step on: ${whose(args)} × ${number(args["factor"])}${leaseText(args, now, BACK)}.`,
  gate: (args, { step: now }) => {
    const name = text(args["component"]);
    if (args["open"] === true) return `From the next step on ${name} takes part again.`;
    const lease = leaseText(args, now, "then it takes part again");
    return `From the next step on ${name} has weight 0 and is left out of the graph${lease}.`;
  },
  hold_stage: (args, { step: now, position, stage }) => {
    const where = `${position === null ? "" : ` at ${step(position)}`}${stage === null ? "" : ` in stage ${stage}`}`;
    const lease = leaseText(args, now, "then it goes on by itself") || ", until it is released";
    return `The curriculum's clock stops${where}: no ramp moves on and no stage begins${lease}.`;
  },
  release_stage: (_, { position }) =>
    `The curriculum's clock goes on from ${position === null ? "where it is" : step(position)}.`,
  go_to_stage: (args, { position, isHeld }) => {
    const from = position === null ? "" : `from ${step(position)} `;
    const held = isHeld ? ", and is still held there" : "";
    return `The curriculum's clock goes ${from}to where stage ${text(args["stage"])} begins${held}.`;
  },
  set_lr_scale: (args, { step: now }) =>
    `From the next step on every learning rate is multiplied by ${number(args["value"])}${leaseText(args, now, BACK)}.`,
  set_clip: (args, { step: now }) =>
    `From the next step on gradients are clipped to norm ${number(args["value"])}${leaseText(args, now, BACK)}.`,
  checkpoint: () => "The script writes a checkpoint at the next step.",
  pause: () => "Training waits before the next step until it is resumed; nothing is lost.",
  resume: () => "Training goes on with the next step.",
  stop: () => "The run ends before the next step; nothing brings it back.",
  rollback: () => "Weights, optimizer and random state go back to the newest healthy snapshot; the steps since are kept, but not shown.",
};

/** The step at which an applied command ends by itself; null where it does not. */
export function leaseEndOf(command: Command): number | null {
  const lease = numberOrNull(command.args["lease_steps"]);
  return lease === null || command.step === null ? null : command.step + lease;
}

/** The step at which its ramp arrives. */
export function rampEndOf(command: Command): number | null {
  const ramp = numberOrNull(command.args["ramp_steps"]);
  return ramp === null || command.step === null ? null : command.step + ramp;
}

/** The command that a revert is about. */
export function targetOf(command: Command): string | null {
  return command.kind === "revert" ? textOrNull(command.args["command"]) : null;
}

/** Whether a revert of it was applied, and that one was not itself reverted. */
export function isReverted(command: Command, all: readonly Command[]): boolean {
  return all.some((one) => targetOf(one) === command.id && one.state === "applied" && !isReverted(one, all));
}

/** Whether taking it back changes anything: it is in force, and no revert of it is under way. */
export function canBeReverted(command: Command, all: readonly Command[], now: number | null): boolean {
  if (!STEERING.has(command.kind) || command.state !== "applied") return false;
  const end = leaseEndOf(command);
  if (end !== null && end <= (now ?? -1)) return false;
  const open = ["queued", "sent", "received"];
  if (all.some((one) => targetOf(one) === command.id && open.includes(one.state))) return false;
  return !all.some((one) => targetOf(one) === command.id && one.state === "applied");
}

/** Whether a component is gated off by what was applied: the newest gate that is in force says so. */
export function gatedBy(all: readonly Command[], component: string, now: number | null): boolean {
  const gates = all.filter(
    (one) =>
      one.kind === "gate" && one.state === "applied" && one.args["component"] === component && isLive(one, all, now),
  );
  const newest = gates.reduce<Command | null>((a, b) => (a === null || b.number > a.number ? b : a), null);
  return newest !== null && newest.args["open"] !== true;
}

function isLive(command: Command, all: readonly Command[], now: number | null): boolean {
  const end = leaseEndOf(command);
  return !isReverted(command, all) && (end === null || now === null || now < end);
}
