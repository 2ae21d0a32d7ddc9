/**
 * What a person does to a run, and what comes of asking for it.
 *
 * Rules of this file: words only; the edge carries an order, and its answer is one of three: taken, refused with the
 * reason, or not sent because somebody else changed the schedule since the person looked.
 */
import type { Answer } from "./answer";
import type { Fields } from "./decode";
import type { Command } from "./models";
import type { Schedule } from "./schedule";
import type { WhatIf } from "./whatIf";

export interface Order {
  readonly run: string;
  readonly kind: string;
  readonly args: Fields;
  /** the alert that it answers */
  readonly alert?: string;
  /** the version that the person saw when they decided; absent where others' changes do not matter */
  readonly seen?: number;
}

export type Given =
  | { readonly kind: "taken"; /** the command's id */ readonly command: string }
  | {
      readonly kind: "conflict";
      /** what others did since, oldest first; empty where the page has not heard of it yet */
      readonly changed: readonly Command[];
      readonly why: string;
      /** the version that a second press has seen */
      readonly version: number;
    }
  | { readonly kind: "refused"; readonly why: string };

export interface ControlDesk {
  readonly give: (order: Order) => Promise<Given>;
  /** null when it was cancelled, else why not, in one sentence */
  readonly cancel: (command: string) => Promise<string | null>;
  readonly whatIf: (run: string, kind: string, args: Fields, signal: AbortSignal) => Promise<Answer<WhatIf>>;
  readonly schedule: (run: string) => Promise<Answer<Schedule>>;
  /** the patch file's text */
  readonly curriculum: (run: string) => Promise<Answer<string>>;
}
