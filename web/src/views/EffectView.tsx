/** What a command brought about: the verdict with its sign and word, its sentence, the numbers behind it. */
import type { JSX } from "preact";
import { type Effect, effectNumberText, judgedAt, verdictText } from "../lib/effect";
import { step } from "../lib/format";

const TONES = { worked: "effect-worked", "no effect": "effect-none", worse: "effect-worse" } as const;

interface Props {
  readonly effect: Effect;
  /** names it to tests: the list of commands shows each effect once more */
  readonly testid?: string;
}

export function EffectView({ effect, testid = "effect" }: Props): JSX.Element {
  const judged = judgedAt(effect);
  const [sign, word] = verdictText(effect);
  return (
    <div class={`effect ${TONES[effect.verdict]}`} role="status" data-testid={testid} data-verdict={word}>
      <p>
        <span aria-hidden="true">{sign} </span>
        <strong>{word}</strong>
        {judged !== null && <span class="quiet number"> by step {step(judged)}</span>}
      </p>
      {effect.text !== "" && <p>{effect.text}</p>}
      {effect.numbers.length > 0 && <p class="quiet number">{effect.numbers.map(effectNumberText).join(" · ")}</p>}
    </div>
  );
}
