/**
 * The small chart of an alert's evidence.
 *
 * Rules of this file: a value that is not finite breaks the line and becomes a mark, it is never left out.
 */
export interface Spark {
  /** an SVG path within the box */
  readonly path: string;
  /** x of each non-finite value */
  readonly marks: readonly number[];
}

export function sparkOf(values: readonly (readonly [number, number])[], width: number, height: number): Spark {
  const finite = values.map(([, value]) => value).filter(Number.isFinite);
  const [first, last] = [values[0]?.[0] ?? 0, values.at(-1)?.[0] ?? 1];
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  const marks: number[] = [];
  let path = "";
  let isBroken = true;
  for (const [step, value] of values) {
    const x = last === first ? width / 2 : ((step - first) / (last - first)) * width;
    if (!Number.isFinite(value)) {
      marks.push(x);
      isBroken = true;
      continue;
    }
    const y = high === low ? height / 2 : height - ((value - low) / (high - low)) * height;
    path += `${isBroken ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    isBroken = false;
  }
  return { path, marks };
}
