/** Which of the page's dialogs is open: one at a time. */
import { type Signal, useSignal } from "@preact/signals";
import type { OrderKind } from "../lib/errands";

export type Open =
  | { readonly kind: "palette" | "keys" | "runs" }
  | { readonly kind: "order"; readonly order: OrderKind };

export function useOpen(): Signal<Open | null> {
  return useSignal<Open | null>(null);
}
