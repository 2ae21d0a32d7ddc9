/** Buckets for tests, as the server packs them. */

export function packed(values: readonly number[]): Uint8Array {
  return new Uint8Array(Float64Array.from(values).buffer);
}

/** One bucket a point, or a bucket of several points where `counts` says so; what is not given follows from `last`. */
export function packedBuckets(
  step: readonly number[],
  last: readonly number[],
  given: Readonly<Record<string, readonly number[]>> = {},
): Record<string, Uint8Array> {
  const finite = last.map((value) => (Number.isFinite(value) ? value : NaN));
  const isOne = (of: number): number[] => last.map((value) => Number(Object.is(value, of)));
  const columns = {
    first: last,
    min: finite,
    max: finite,
    mean: finite,
    last,
    nan: isOne(NaN),
    pos_inf: isOne(Infinity),
    neg_inf: isOne(-Infinity),
    count: step.map(() => 1),
  };
  const all = Object.entries({ step, ...columns, ...given });
  return Object.fromEntries(all.map(([name, values]) => [name, packed(values)]));
}
