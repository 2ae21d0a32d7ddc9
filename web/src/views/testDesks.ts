/** Desks for tests: nobody answers, save where a test says so. */
import type { Answer } from "../lib/answer";
import type { ControlDesk } from "../lib/control";
import { type HomeDesk, WISH } from "../lib/home";
import type { Desks } from "./context";

export const NOBODY: Answer<never> = { ok: false, fault: "Nobody answers." };

/** `control`, `home`: what answers in the place of nobody. */
export function testDesks(control: Partial<ControlDesk> = {}, home: Partial<HomeDesk> = {}): Desks {
  const refuse = (): Promise<Answer<never>> => Promise.resolve(NOBODY);
  return {
    rules: { view: refuse, set: refuse, preview: refuse, backtest: refuse, health: refuse },
    policies: { view: refuse, set: refuse },
    home: {
      change: refuse,
      remove: refuse,
      restore: refuse,
      deleted: refuse,
      totals: refuse,
      remembered: () => WISH,
      remember: () => undefined,
      ...home,
    },
    control: {
      give: () => Promise.resolve({ kind: "refused", why: "Nobody answers." }),
      cancel: () => Promise.resolve("Nobody answers."),
      whatIf: refuse,
      schedule: refuse,
      curriculum: refuse,
      ...control,
    },
    evidence: { points: refuse },
    compare: { compare: refuse, points: refuse },
    channels: { channels: refuse, create: refuse, change: refuse, remove: refuse, test: refuse, notices: refuse },
  };
}
