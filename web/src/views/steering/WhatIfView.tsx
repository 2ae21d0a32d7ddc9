/** Share and total as they are and as they would have been, over the last steps that are stored. */
import type { JSX } from "preact";
import { short } from "../../lib/format";
import { type WhatIf, nowText, pathsOf, spanText } from "../../lib/whatIf";
import type { Foreseen } from "./useWhatIf";

const WIDTH = 300;
const HEIGHT = 36;

export interface WhatIfProps {
  readonly foreseen: Foreseen;
  readonly component: string | null;
  /** what is changed: "0.01 → 0.001:" */
  readonly change?: string;
  /** what is known without the server: of the newest step alone */
  readonly atOnce: string;
  readonly testid: string;
}

export function WhatIfView({ foreseen, component, change = "", atOnce, testid }: WhatIfProps): JSX.Element {
  if (foreseen.kind !== "told")
    return (
      <div class="what-if number" data-testid={testid} data-state={foreseen.kind}>
        <p>{atOnce}</p>
        <p class="quiet">{foreseen.kind === "refused" ? foreseen.why : WAITING}</p>
      </div>
    );
  const { whatIf } = foreseen;
  return (
    <div class="what-if number" data-testid={testid} data-state="told">
      <p>
        {change} {nowText(whatIf, component) || atOnce}
      </p>
      {whatIf.steps.length > 1 && <Lines whatIf={whatIf} />}
      <p class="quiet">
        {spanText(whatIf, component)} {whatIf.text}
      </p>
    </div>
  );
}

const WAITING = "By the newest step; the last steps are being computed…";

function Lines({ whatIf }: { whatIf: WhatIf }): JSX.Element {
  const { before, after, low, high } = pathsOf(whatIf, WIDTH, HEIGHT - 6);
  return (
    <figure class="what-if-lines">
      <svg
        viewBox={`0 -3 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label="The total, as it was and as it would have been"
      >
        <path d={before} class="what-if-before" />
        <path d={after} class="what-if-after" />
      </svg>
      <figcaption>
        <span>
          total: - - as it was, <span class="key-after">— as it would be</span>
        </span>
        <span>
          {short(low, 3)} … {short(high, 3)}
        </span>
      </figcaption>
    </figure>
  );
}
