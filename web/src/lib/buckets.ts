/**
 * Buckets of a series, as the server packs them.
 *
 * Rules of this file: docs/protocol.md section 2 is the definition. An answer that does not hold what it should is
 * refused as a whole (ColumnError): a curve made of it would be a lie.
 */
import { ColumnError, type Fields, fieldsOrNull, float64sOf } from "./decode";

/** Parallel arrays, one entry a bucket. */
export interface Buckets {
  /** ascending */
  readonly step: Float64Array;
  /** NaN where the bucket has no finite value; likewise `max` and `mean` */
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly mean: Float64Array;
  /** may be non-finite */
  readonly last: Float64Array;
  /** how many values were NaN; likewise the infinities */
  readonly nan: Float64Array;
  readonly posInf: Float64Array;
  readonly negInf: Float64Array;
  /** how many values, non-finite ones included */
  readonly count: Float64Array;
}

export function bucketsOf(value: unknown): Buckets {
  const packed = fieldsOrNull(value);
  if (packed === null) throw new ColumnError("a series without buckets");
  const step = ascending(float64sOf(packed["step"]));
  const column = (name: string): Float64Array => columnOf(packed, name, step.length);
  const counts = (name: string): Float64Array => counted(column(name), name);
  return {
    step,
    min: column("min"),
    max: column("max"),
    mean: column("mean"),
    last: column("last"),
    nan: counts("nan"),
    posInf: counts("pos_inf"),
    negInf: counts("neg_inf"),
    count: counts("count"),
  };
}

function columnOf(packed: Fields, name: string, length: number): Float64Array {
  const column = float64sOf(packed[name]);
  if (column.length !== length) throw new ColumnError(`${length} buckets, and ${column.length} of ${name}`);
  return column;
}

function ascending(steps: Float64Array): Float64Array {
  let before = -Infinity;
  for (const step of steps) {
    if (!Number.isSafeInteger(step) || step <= before) throw new ColumnError("steps that do not ascend");
    before = step;
  }
  return steps;
}

function counted(column: Float64Array, name: string): Float64Array {
  for (const count of column)
    if (!Number.isSafeInteger(count) || count < 0) throw new ColumnError(`a count of ${name} that is none`);
  return column;
}
