/** The policies of a place, asked for again now and then: a run may use up a budget while somebody looks. */
import { useEffect } from "preact/hooks";
import type { Scope } from "./panel";
import type { PoliciesBoard } from "./policies";

const AGAIN_MS = 5_000;

export function usePolicies(board: PoliciesBoard, scope: Scope, isUp: boolean): void {
  useEffect(() => {
    if (!isUp) return undefined;
    const load = (): void => {
      if (document.visibilityState === "visible" && !board.isSetting.value) void board.load(scope);
    };
    load();
    const timer = window.setInterval(load, AGAIN_MS);
    return () => window.clearInterval(timer);
  }, [board, scope, isUp]);
}
