/** One control's order: sent once, followed through its life, and sent again after a conflict that was read. */
import { useSignal } from "@preact/signals";
import type { Given } from "../../lib/control";
import type { Fields } from "../../lib/decode";
import type { Command } from "../../lib/models";
import { commandsOf, isPending } from "../../lib/state";
import { versionOf } from "../../lib/version";
import { usePage } from "../context";

export interface Ordering {
  /** what came of asking; null before, and while the answer is awaited */
  readonly given: Given | null;
  /** the command that was sent from here last, as it is now */
  readonly command: Command | null;
  readonly isUnderWay: boolean;
  /** `seen`: the version that the person saw when they began to decide; whether the server took it */
  readonly send: (kind: string, args: Fields, seen: number) => Promise<boolean>;
  /** a new intention: what came of the last one is no longer said here */
  readonly forget: () => void;
}

export function useOrder(run: string): Ordering {
  const page = usePage();
  const given = useSignal<Given | null>(null);
  const isSending = useSignal(false);
  const sent = given.value?.kind === "taken" ? given.value.command : null;
  const command = sent === null ? null : (page.state.value.detail.commands[sent] ?? null);
  const send = async (kind: string, args: Fields, seen: number): Promise<boolean> => {
    if (isSending.value) return false;
    // Whoever presses again has read what others did.
    const version = given.value?.kind === "conflict" ? Math.max(seen, given.value.version) : seen;
    isSending.value = true;
    const answer = await page.desks.control.give({ run, kind, args, seen: version });
    given.value = answer;
    isSending.value = false;
    return answer.kind === "taken";
  };
  const forget = (): void => {
    given.value = null;
  };
  const isUnderWay = isSending.value || (command !== null && isPending(command));
  return { given: given.value, command, isUnderWay, send, forget };
}

/** The version on the screen now. */
export function useVersion(): () => number {
  const page = usePage();
  return () => versionOf(commandsOf(page.state.value.detail));
}
