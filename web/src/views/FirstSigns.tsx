/** Which series went wrong first, and how many steps before the first symptom; a press draws one as the evidence. */
import type { JSX } from "preact";
import { short, step } from "../lib/format";
import { type Incident, leadText, symptomStep } from "../lib/incidents";

/** More than these belong into the fold: the order's beginning is what matters. */
const SHOWN = 5;

interface Props {
  readonly incident: Incident;
  /** the series that the evidence shows */
  readonly drawn: string;
  readonly onDraw: (series: string) => void;
}

export function FirstSigns({ incident, drawn, onDraw }: Props): JSX.Element | null {
  const { firstBad } = incident;
  if (firstBad.length === 0) return null;
  const rows = (signs: Incident["firstBad"]): JSX.Element => <Rows signs={signs} drawn={drawn} onDraw={onDraw} />;
  return (
    <section class="signs" data-testid="first-bad" aria-label="What went wrong first">
      <h4>
        First signs <span class="quiet number">first symptom at step {step(symptomStep(incident))}</span>
      </h4>
      {rows(firstBad.slice(0, SHOWN))}
      {firstBad.length > SHOWN && (
        <details>
          <summary class="quiet">{firstBad.length - SHOWN} more</summary>
          {rows(firstBad.slice(SHOWN))}
        </details>
      )}
    </section>
  );
}

interface RowsProps {
  readonly signs: Incident["firstBad"];
  readonly drawn: string;
  readonly onDraw: (series: string) => void;
}

function Rows({ signs, drawn, onDraw }: RowsProps): JSX.Element {
  return (
    <ol class="sign-rows">
      {signs.map((sign) => (
        <li key={sign.series}>
          <button
            type="button"
            class="sign-series"
            aria-pressed={sign.series === drawn}
            title={`${offText(sign.deviation)}Draws it as the evidence`}
            onClick={() => onDraw(sign.series)}
          >
            {sign.series}
          </button>
          <span class="number quiet">step {step(sign.step)}</span>
          <span class="number">{leadText(sign)}</span>
        </li>
      ))}
    </ol>
  );
}

function offText(deviation: number | null): string {
  return deviation === null ? "" : `${short(deviation, 3)} spreads off its level. `;
}
