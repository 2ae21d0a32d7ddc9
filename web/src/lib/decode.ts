/**
 * Reads untyped values from the wire into typed ones.
 *
 * Rules of this file:
 * - A non-finite number is a first-class value: JSON carries it as one of three words, and only a field that is a
 *   number reads those words (a component may well be named "NaN").
 * - What is missing or of a wrong type becomes the field's neutral value; nothing here throws, save for columns,
 *   where a wrong length would shift every later value.
 */

export type Fields = Readonly<Record<string, unknown>>;

/** Packed numbers do not hold what they announce. */
export class ColumnError extends Error {
  override readonly name = "ColumnError";
}

const WORDS: Readonly<Record<string, number>> = { NaN, Infinity, "-Infinity": -Infinity };

/** A number, NaN and infinities included; null when the value is no number. */
export function numberOrNull(value: unknown): number | null {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "string" && Object.hasOwn(WORDS, value)) return WORDS[value] ?? null;
  return null;
}

export function numberOr(value: unknown, otherwise: number): number {
  return numberOrNull(value) ?? otherwise;
}

export function integerOrNull(value: unknown): number | null {
  const number = numberOrNull(value);
  return number !== null && Number.isFinite(number) ? Math.trunc(number) : null;
}

export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

export function oneOf<T extends string>(value: unknown, words: readonly T[], otherwise: T): T {
  return words.find((word) => word === value) ?? otherwise;
}

export function fieldsOrNull(value: unknown): Fields | null {
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) return null;
  return value as Fields;
}

export function fields(value: unknown): Fields {
  return fieldsOrNull(value) ?? {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

export function texts(value: unknown): string[] {
  return list(value).filter((item) => typeof item === "string");
}

/** The items of an answer `{"items": [...], "next": null}`. */
export function items<T>(answer: unknown, read: (item: unknown) => T): T[] {
  return list(fields(answer)["items"]).map(read);
}

export interface Columns {
  readonly run: string;
  readonly names: readonly string[];
  /** n steps */
  readonly steps: Float64Array;
  /** one column of n values a name */
  readonly values: readonly Float64Array[];
}

/** The columns of a `points` message; throws ColumnError when a length does not fit. */
export function columnsOf(message: Fields): Columns {
  const names = texts(message["series"]);
  const n = integerOrNull(message["n"]) ?? 0;
  const steps = counted(message["steps"], n);
  const all = counted(message["values"], n * names.length);
  return { run: text(message["run"]), names, steps, values: names.map((_, i) => all.subarray(i * n, (i + 1) * n)) };
}

function counted(bytes: unknown, count: number): Float64Array {
  const found = float64sOf(bytes);
  if (found.length !== count) throw new ColumnError(`${count} float64 announced, ${found.length} found`);
  return found;
}

/**
 * Little-endian on the wire, as on every machine that browsers run on. A view where that is possible: a part of an
 * answer begins at any byte, and a view of float64 only at every eighth.
 */
export function float64sOf(bytes: unknown): Float64Array {
  if (!(bytes instanceof Uint8Array)) throw new ColumnError(`packed numbers expected, ${typeof bytes} found`);
  if (bytes.byteLength % 8 !== 0) throw new ColumnError(`${bytes.byteLength} bytes are no row of float64`);
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  return new Float64Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 8);
}
