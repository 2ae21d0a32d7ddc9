/** What a person chose for one weight and has not applied yet. */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Component } from "../../lib/models";
import { type Scale, weightOf } from "../../lib/weights";
import { type Ordering, useVersion } from "./useOrder";

export interface Draft {
  /** null follows the run */
  readonly typed: Signal<string | null>;
  readonly choose: (typed: string) => void;
  readonly forget: () => void;
  /** the weight on the slider: the choice, or the run's where there is none that can be read */
  readonly chosen: number | null;
  readonly fault: string | null;
  readonly isDirty: boolean;
  /** the version that was on the screen when the person began to move it */
  readonly seen: number;
}

export function useWeightDraft({ weight }: Component, scale: Scale, ordering: Ordering): Draft {
  const typed = useSignal<string | null>(null);
  const seen = useSignal(0);
  const version = useVersion();
  // The slider stays where the person left it until their command is decided, and then follows the run again.
  useEffect(() => {
    if (ordering.command?.state === "applied") typed.value = null;
  }, [typed, ordering.command?.id, ordering.command?.state]);
  const choose = (next: string): void => {
    if (typed.value === null) {
      seen.value = version();
      if (!ordering.isUnderWay) ordering.forget();
    }
    typed.value = next;
  };
  const forget = (): void => {
    typed.value = null;
    if (!ordering.isUnderWay) ordering.forget();
  };
  const common = { typed, choose, forget, seen: seen.value };
  if (typed.value === null) return { ...common, chosen: weight, fault: null, isDirty: false };
  const entry = weightOf(typed.value, scale);
  return { ...common, chosen: entry.weight ?? weight, fault: entry.fault, isDirty: entry.weight !== weight };
}
