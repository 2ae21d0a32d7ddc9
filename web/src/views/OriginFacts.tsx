/** Where a non-finite value was born: the verdict of the replay, and under it the place as far as it is known. */
import type { ComponentChildren, JSX } from "preact";
import { step } from "../lib/format";
import { type Origin, breakable, isReproducedText, longPlace, nonFiniteWords, shortPlace } from "../lib/guard";

export function OriginFacts({ origin }: { origin: Origin }): JSX.Element {
  const { component, module, op, phase, where, value } = origin;
  const isPlaced = [component, module, op, where].some((part) => part !== null);
  const born = value === null ? "Origin" : `Origin of the ${nonFiniteWords(value)}`;
  return (
    <section class="origin" data-testid="origin" data-reproduced={String(origin.reproduced)} aria-label={born}>
      <p class="origin-head" title={origin.text}>
        {born} <span class="quiet">{verdictText(origin)}</span>
      </p>
      {!isPlaced && origin.text !== "" && <p class="origin-text">{origin.text}</p>}
      <dl class="origin-facts">
        {component !== null && <Fact name="component">{component}</Fact>}
        {module !== null && (
          <Fact name="module">
            <Path path={module} />
          </Fact>
        )}
        {op !== null && (
          <Fact name="operation">
            <Path path={op} />
            {phase !== null && <span class="quiet"> {phase}</span>}
          </Fact>
        )}
        {op === null && phase !== null && <Fact name="phase">{phase}</Fact>}
        {where !== null && (
          <Fact name="where">
            <span title={longPlace(where)}>
              <Path path={shortPlace(where)} />
            </span>
          </Fact>
        )}
      </dl>
    </section>
  );
}

function verdictText(origin: Origin): string {
  const late = origin.stepsLate;
  return [
    isReproducedText(origin),
    ...(late > 0 ? [`${step(late)} ${late === 1 ? "step" : "steps"} late`] : []),
    ...(origin.microBatch === null ? [] : [`micro-batch ${origin.microBatch + 1}`]),
  ].join(" · ");
}

function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A path as code; a long one goes on in the next line after a dot. */
function Path({ path }: { path: string }): JSX.Element {
  return (
    <code>
      {breakable(path).map((part, i) => (
        <span key={i}>
          {part}
          <wbr />
        </span>
      ))}
    </code>
  );
}
