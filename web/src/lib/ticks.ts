/**
 * Where the lines of a logarithmic axis lie.
 *
 * Rules of this file: the renderer's own choice labels whole decades only, so a curve within one decade had no number
 * at its side; here every axis has at least two.
 */
const MANTISSAS: readonly (readonly number[])[] = [[1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]];

/** At most `most` ticks in [low, high], both above 0: the finest of the 1-2-5 kind that fits, else every n-th decade. */
export function logTicks(low: number, high: number, most: number): number[] {
  if (!(low > 0) || !(high > low) || !Number.isFinite(high)) return [];
  for (const mantissas of MANTISSAS) {
    const ticks = within(low, high, mantissas);
    if (ticks.length <= most && ticks.length >= 2) return ticks;
  }
  const decades = within(low, high, [1]);
  if (decades.length > most) {
    const every = Math.ceil(decades.length / most);
    return decades.filter((_, i) => i % every === 0);
  }
  return linearTicks(low, high, most);
}

function within(low: number, high: number, mantissas: readonly number[]): number[] {
  const ticks: number[] = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.ceil(Math.log10(high)); decade += 1) {
    for (const mantissa of mantissas) {
      const tick = Number(`${mantissa}e${decade}`);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks;
}

/** Even ticks for a span too narrow for powers. */
export function linearTicks(low: number, high: number, most: number): number[] {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((m) => m * power).find((s) => (high - low) / s <= most) ?? power * 10;
  const ticks: number[] = [];
  for (let i = Math.ceil(low / size); i * size <= high; i += 1) ticks.push(Number((i * size).toPrecision(12)));
  return ticks;
}
