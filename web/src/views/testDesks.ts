/** Desks for tests: nobody answers, save where a test says so. */
import type { Answer } from "../lib/answer";
import type { Desks } from "./context";

export const NOBODY: Answer<never> = { ok: false, fault: "Nobody answers." };

export function testDesks(): Desks {
  const refuse = (): Promise<Answer<never>> => Promise.resolve(NOBODY);
  return {
    rules: { view: refuse, set: refuse, preview: refuse, backtest: refuse, health: refuse },
    channels: { channels: refuse, create: refuse, change: refuse, remove: refuse, test: refuse, notices: refuse },
  };
}
