/**
 * How numbers are said.
 *
 * Rules of this file: a non-finite number is said as such, an absent one as a dash; four digits, because a person
 * compares magnitudes here and reads exact values in the fields.
 */
export const ABSENT = "–";

function word(value: number | null): string | null {
  if (value === null) return ABSENT;
  if (Number.isNaN(value)) return "NaN";
  if (Number.isFinite(value)) return null;
  return value > 0 ? "+Inf" : "−Inf";
}

function digits(value: number, count: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(count - 1);
  return size >= 10 ** count ? value.toFixed(0) : value.toPrecision(count);
}

function withoutTrailingZeros(said: string): string {
  const [mantissa = "", exponent] = said.split("e");
  const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
  return exponent === undefined ? short : `${short}e${exponent.replace("+", "")}`;
}

/** A number in as few characters as four digits allow: 0.01, 1.6e-5, 705.3. */
export function short(value: number | null, count = 4): string {
  return word(value) ?? withoutTrailingZeros(digits(value ?? 0, count));
}

/** A number to be edited: every digit that a float64 surely keeps. */
export function exact(value: number | null): string {
  return value === null ? "" : short(value, 15);
}

/** A number that changes as one looks: always four digits, so that its width stands still. */
export function live(value: number | null): string {
  return word(value) ?? digits(value ?? 0, 4).replace("e+", "e");
}

/** A number as an axis says it. */
export function tick(value: number): string {
  return short(value, 3);
}

export function share(value: number | null): string {
  const said = word(value);
  if (said !== null || value === null) return said ?? ABSENT;
  const percent = value * 100;
  if (percent !== 0 && Math.abs(percent) < 0.1) return "<0.1 %";
  return `${percent < 10 && percent % 1 !== 0 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}

/** A step, with thin spaces between thousands. */
export function step(value: number | null): string {
  return value === null ? ABSENT : String(Math.trunc(value)).replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

export function rate(stepsPerS: number | null): string {
  if (stepsPerS === null || !Number.isFinite(stepsPerS)) return word(stepsPerS) ?? ABSENT;
  return stepsPerS >= 100 ? stepsPerS.toFixed(0) : stepsPerS >= 1 ? stepsPerS.toFixed(1) : stepsPerS.toPrecision(2);
}

export function duration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return ABSENT;
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} m`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** A rule's or a number's name as words: `loss_jump` is "loss jump". */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}
