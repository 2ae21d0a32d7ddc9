/** A run's total as a small curve; what is not finite is a cross. */
import type { JSX } from "preact";
import { type DrawnTotal, SPARK_HEIGHT, SPARK_WIDTH } from "../../lib/homeSpark";

export function TotalSpark({ drawn }: { drawn: DrawnTotal | undefined }): JSX.Element {
  if (drawn === undefined) return <span class="quiet home-no-curve">–</span>;
  return (
    <svg
      class="home-curve"
      viewBox={`-2 -2 ${SPARK_WIDTH + 4} ${SPARK_HEIGHT + 4}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={drawn.text}
      data-nonfinite={drawn.marks.length}
    >
      <title>{drawn.text}</title>
      <path d={drawn.path} class="spark-line" />
      {drawn.marks.map((x) => (
        <path key={x} class="spark-mark" d={`M${x - 3} ${MIDDLE - 3}l6 6m0 -6l-6 6`} />
      ))}
    </svg>
  );
}

const MIDDLE = SPARK_HEIGHT / 2;
