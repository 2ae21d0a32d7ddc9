/**
 * What came of asking the server for something that a person waits for.
 *
 * Rules of this file: a failure is a sentence to show, never an exception, so that no view can forget it.
 */
export type Answer<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; /** empty when it was given up */ readonly fault: string };

/** The sentence, or null when it went well. */
export function faultOf(answer: Answer<unknown>): string | null {
  return answer.ok ? null : answer.fault;
}
