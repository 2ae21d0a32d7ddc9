/** Which ranks are not finite, since when, and whether a chart shows it. */
import type { JSX } from "preact";
import { type Rank, isUnshown, notFiniteTexts } from "../../lib/ranks";
import { HealthLight } from "../HealthLight";

/** The first ones; who came later stands in the rows of the panel. */
const SHOWN = 3;

interface Props {
  readonly ranks: readonly Rank[];
  /** names it to tests */
  readonly testid: string;
}

export function NotFinite({ ranks, testid }: Props): JSX.Element | null {
  const said = notFiniteTexts(ranks);
  if (said.length === 0) return null;
  return (
    <div class="not-finite" role="status" data-testid={testid}>
      {said.slice(0, SHOWN).map((line, i) => (
        <p key={line} class={`tone-critical number${i === 0 ? " is-first" : ""}`}>
          <HealthLight health="critical" /> {line}
        </p>
      ))}
      {said.length > SHOWN && <p class="quiet">and {said.length - SHOWN} later</p>}
      {isUnshown(ranks) && <p class="quiet">The charts show rank 0, which is finite.</p>}
    </div>
  );
}
