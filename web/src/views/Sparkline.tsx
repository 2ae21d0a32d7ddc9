/** The evidence's values as a small curve; what is not finite is a cross. */
import type { JSX } from "preact";
import { short, step } from "../lib/format";
import { sparkOf } from "../lib/spark";

const WIDTH = 300;
const HEIGHT = 36;

export function Sparkline({
  values,
  label,
}: {
  values: readonly (readonly [number, number])[];
  label: string;
}): JSX.Element {
  const { path, marks } = sparkOf(values, WIDTH, HEIGHT - 6);
  const [first, last] = [values[0], values.at(-1)];
  return (
    <figure class="spark">
      <svg viewBox={`0 -3 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
        <path d={path} class="spark-line" />
        {marks.map((x) => (
          <path key={x} class="spark-mark" d={`M${x - 3} 0l6 6m0 -6l-6 6`} />
        ))}
      </svg>
      <figcaption class="number">
        <span>
          step {step(first?.[0] ?? null)}: {short(first?.[1] ?? null, 3)}
        </span>
        <span>
          step {step(last?.[0] ?? null)}: {short(last?.[1] ?? null, 3)}
        </span>
      </figcaption>
    </figure>
  );
}
