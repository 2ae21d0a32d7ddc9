/**
 * Smoothing that hides nothing: a running mean over steps, drawn upon the band of what it was made of.
 *
 * Rules of this file: pure. The mean at a place takes what lies half a width before and after it, so that it does not
 * lag; it never reaches over a break. Its width is a part of the steps on the screen, and is said in steps.
 */
export const SMOOTHINGS = ["off", "light", "medium", "strong"] as const;
export type Smoothing = (typeof SMOOTHINGS)[number];

/** Which part of the steps on the screen one mean takes. */
const PARTS: Readonly<Record<Smoothing, number>> = { off: 0, light: 0.01, medium: 0.04, strong: 0.15 };
const FEWEST_STEPS = 3;

export function isSmoothing(value: unknown): value is Smoothing {
  return SMOOTHINGS.some((one) => one === value);
}

export function nextSmoothing(now: Smoothing): Smoothing {
  return SMOOTHINGS[(SMOOTHINGS.indexOf(now) + 1) % SMOOTHINGS.length] ?? "off";
}

/** How many steps one mean takes, of the 1-2-5 kind; 0 where nothing is smoothed. */
export function smoothSteps(smoothing: Smoothing, steps: number): number {
  if (smoothing === "off") return 0;
  const wanted = Math.max(FEWEST_STEPS, steps * PARTS[smoothing]);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const size = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= wanted * 0.9) ?? wanted;
  return Math.max(FEWEST_STEPS, Math.round(size));
}

/** What the columns of one series hold: sums and counts of finite values, and where the line breaks before a column. */
export interface Sums {
  readonly steps: readonly number[];
  readonly sum: readonly number[];
  readonly count: readonly number[];
  readonly isBroken: readonly boolean[];
}

const MUCH = 1e4;

function sumOf(values: readonly number[], from: number, to: number): number {
  let sum = 0;
  for (let at = from; at < to; at += 1) sum += values[at] ?? 0;
  return sum;
}

/** The running mean at each column over `width` steps; NaN where no finite value is near. */
export function runningMeans({ steps, sum, count, isBroken }: Sums, width: number): number[] {
  const means: number[] = [];
  const half = width / 2;
  let [from, to, total, points, begin] = [0, 0, 0, 0, 0];
  steps.forEach((step, at) => {
    if (isBroken[at] === true) [from, to, total, points, begin] = [at + 1, at + 1, 0, 0, at + 1];
    else {
      while (to < steps.length && isBroken[to] !== true && (steps[to] ?? 0) <= step + half) {
        total += sum[to] ?? 0;
        points += count[to] ?? 0;
        to += 1;
      }
      while (from < at && from >= begin && (steps[from] ?? 0) < step - half) {
        const gone = sum[from] ?? 0;
        points -= count[from] ?? 0;
        from += 1;
        // What is larger by orders has taken the digits of the others with it.
        total = Math.abs(gone) > Math.abs(total - gone) * MUCH ? sumOf(sum, from, to) : total - gone;
      }
    }
    means.push(points > 0 ? total / points : NaN);
  });
  return means;
}
