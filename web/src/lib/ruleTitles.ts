/**
 * What each rule is about, in its own words, for headlines.
 *
 * Rules of this file: the titles of docs/rules.md and GET /api/rules; a rule that is not here is called by its name.
 */
import { words } from "./format";

const TITLES: ReadonlyMap<string, string> = new Map([
  ["bound", "Outside what is possible"],
  ["component_gradients", "A component's gradient dominates, vanishes or opposes"],
  ["contract", "Outside its declared range"],
  ["contribution_dominates", "Contribution out of proportion"],
  ["count", "Too few elements"],
  ["drift", "A loss drifts up"],
  ["grad_burst", "The gradient norm multiplies from step to step"],
  ["grad_cluster", "Gradient explosions come in a cluster"],
  ["grad_growth", "The gradient norm grows exponentially"],
  ["grad_norm_high", "The gradient norm is far above healthy"],
  ["look_ahead", "The next stage will blow the total up"],
  ["loss_jump", "The total loss jumped"],
  ["loss_scale", "The loss scale falls"],
  ["memory_headroom", "Memory runs out, or leaks"],
  ["nonfinite", "Not a number"],
  ["plateau", "The loss has stopped improving"],
  ["saturation", "A large loss carries almost no gradient"],
  ["stage_mismatch", "The stage did not do what was predicted"],
  ["throughput", "Steps take longer than they did"],
  ["train_eval", "Training and evaluation disagree"],
  ["update_ratio", "Updates too large or too small, or a leap of the learning rate"],
]);

export function ruleTitle(name: string): string {
  return TITLES.get(name) ?? words(name);
}
