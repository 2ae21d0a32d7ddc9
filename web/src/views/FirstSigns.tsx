/** Which series went wrong first, and how many steps before the first symptom. */
import type { JSX } from "preact";
import { short, step } from "../lib/format";
import { type Incident, leadText, symptomStep } from "../lib/incidents";

/** More than these belong into the fold: the order's beginning is what matters. */
const SHOWN = 5;

export function FirstSigns({ incident }: { incident: Incident }): JSX.Element | null {
  const { firstBad } = incident;
  if (firstBad.length === 0) return null;
  return (
    <section class="signs" data-testid="first-bad" aria-label="What went wrong first">
      <h4>
        First signs <span class="quiet number">first symptom at step {step(symptomStep(incident))}</span>
      </h4>
      <Rows signs={firstBad.slice(0, SHOWN)} />
      {firstBad.length > SHOWN && (
        <details>
          <summary class="quiet">{firstBad.length - SHOWN} more</summary>
          <Rows signs={firstBad.slice(SHOWN)} />
        </details>
      )}
    </section>
  );
}

function Rows({ signs }: { signs: Incident["firstBad"] }): JSX.Element {
  return (
    <ol class="sign-rows">
      {signs.map((sign) => (
        <li
          key={sign.series}
          title={sign.deviation === null ? undefined : `${short(sign.deviation, 3)} spreads off its level`}
        >
          <span class="sign-series">{sign.series}</span>
          <span class="number quiet">step {step(sign.step)}</span>
          <span class="number">{leadText(sign)}</span>
        </li>
      ))}
    </ol>
  );
}
