/** Asks how the rules do, every ten seconds while somebody looks; and which of the two dialogs is open. */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { RulesHealth } from "../../lib/rulesHealth";
import { usePage } from "../context";

const HEALTH_MS = 10_000;

export type Desk = "rules" | "notifications";

export interface Engine {
  /** null until it is known, and when the server does not say */
  readonly health: Signal<RulesHealth | null>;
  readonly open: Signal<Desk | null>;
}

export function useEngine(): Engine {
  const { desks, state } = usePage();
  const health = useSignal<RulesHealth | null>(null);
  const open = useSignal<Desk | null>(null);
  const isUp = state.value.link === "up" && !state.value.needsToken;
  useEffect(() => {
    if (!isUp) return undefined;
    let isGone = false;
    const ask = async (): Promise<void> => {
      if (document.visibilityState !== "visible") return;
      const answer = await desks.rules.health();
      if (!isGone) health.value = answer.ok ? answer.value : null;
    };
    const asking = (): void => void ask();
    asking();
    const timer = window.setInterval(asking, HEALTH_MS);
    document.addEventListener("visibilitychange", asking);
    return () => {
      isGone = true;
      window.clearInterval(timer);
      document.removeEventListener("visibilitychange", asking);
    };
  }, [desks, health, isUp]);
  return { health, open };
}
