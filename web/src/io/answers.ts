/**
 * Asks for what a person waits for, and turns whatever goes wrong into a sentence.
 */
import type { Answer } from "../lib/answer";
import { Refused } from "./api";

/** Of a request that was given up on purpose the sentence is empty. */
export async function answerOf<T>(work: Promise<T>): Promise<Answer<T>> {
  try {
    return { ok: true, value: await work };
  } catch (reason) {
    return { ok: false, fault: sentenceOf(reason) };
  }
}

export function sentenceOf(reason: unknown): string {
  if (reason instanceof DOMException && reason.name === "AbortError") return "";
  if (reason instanceof Refused && reason.hint !== "") return `${reason.message} ${reason.hint}`;
  return reason instanceof Error ? reason.message : String(reason);
}
