/**
 * What a command brought about, as the server judged it some steps later.
 *
 * Rules of this file: pure; the verdict has a word and a shape of its own, so that colour alone says nothing.
 */
import { type Fields, fields, fieldsOrNull, integerOrNull, list, numberOrNull, oneOf, text } from "./decode";
import { share, short } from "./format";

export const EFFECTS = ["worked", "no effect", "worse"] as const;
export type EffectWord = (typeof EFFECTS)[number];

export interface Effect {
  readonly verdict: EffectWord;
  /** the step at which the command was in force first */
  readonly atStep: number | null;
  /** how many steps after it were looked at */
  readonly steps: number | null;
  readonly text: string;
  /** false: nothing can be said, and the text says why */
  readonly isDecided: boolean;
  readonly numbers: readonly EffectNumber[];
}

export interface EffectNumber {
  readonly name: string;
  readonly before: number | null;
  readonly after: number | null;
}

/** Of each verdict: what stands before its word, and on the curves. */
export const EFFECT_SHAPES: Readonly<Record<EffectWord, string>> = { worked: "✓", "no effect": "≈", worse: "✗" };

const NAMES: Readonly<Record<string, string>> = {
  total: "total",
  grad_norm: "grad norm",
  share: "share",
  alerts: "alerts",
};

export function effectOf(value: unknown): Effect | null {
  const f = fieldsOrNull(value);
  if (f === null) return null;
  return {
    verdict: oneOf(f["verdict"], EFFECTS, "no effect"),
    atStep: integerOrNull(f["at_step"]),
    steps: integerOrNull(f["steps"]),
    text: text(f["text"]),
    isDecided: f["decided"] !== false,
    numbers: numbersOf(fields(f["numbers"])),
  };
}

/** The step from which on it can be said. */
export function judgedAt(effect: Effect): number | null {
  return effect.atStep === null ? null : effect.atStep + (effect.steps ?? 0);
}

/** The sign and the word of a verdict. */
export function verdictText({ verdict, isDecided }: Effect): readonly [sign: string, word: string] {
  return isDecided ? [EFFECT_SHAPES[verdict], verdict] : ["?", "cannot be said"];
}

/** A pair of numbers, or pairs by component: `share` may be either. */
function numbersOf(all: Fields): EffectNumber[] {
  return Object.entries(all).flatMap(([name, value]) => {
    const title = NAMES[name] ?? name.replaceAll("_", " ");
    const inner = fieldsOrNull(value);
    // What is no measure of the training is worth a word only where it moved.
    if (inner === null) return pairOf(title, value).filter((pair) => name in NAMES || pair.before !== pair.after);
    return Object.entries(inner).flatMap(([of, pair]) => pairOf(`${title} of ${of}`, pair));
  });
}

function pairOf(name: string, value: unknown): EffectNumber[] {
  const [before, after] = list(value).map(numberOrNull);
  return before === undefined || after === undefined ? [] : [{ name, before, after }];
}

/** "total 9.2 → 2.9". */
export function effectNumberText({ name, before, after }: EffectNumber): string {
  const say = name.startsWith("share") ? share : (value: number | null): string => short(value);
  return `${name} ${say(before)} → ${say(after)}`;
}
