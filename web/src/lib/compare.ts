/**
 * Runs beside each other, as the server compares them.
 *
 * Rules of this file: docs/protocol.md section 2, Comparison, is the definition; numbers may be non-finite.
 */
import type { Answer } from "./answer";
import type { Buckets } from "./buckets";
import {
  type Fields,
  fields,
  fieldsOrNull,
  integerOrNull,
  list,
  numberOr,
  numberOrNull,
  oneOf,
  text,
  texts,
} from "./decode";

export const AXES = ["step", "stage", "time"] as const;
export type Axis = (typeof AXES)[number];
export const NODE_ANSWERS = ["yes", "no", "unknown"] as const;
export const ADVICES = ["reduce", "adopt", "hybrid"] as const;

/** A step stands at x + (it - step) * slope of the last piece that begins at or before it. */
export interface Places {
  readonly steps: readonly number[];
  readonly xs: readonly number[];
  readonly slopes: readonly number[];
  readonly lastStep: number;
}

export interface Intervention {
  readonly id: string;
  readonly x: number;
  readonly text: string;
}

export interface ComparedRun {
  readonly id: string;
  readonly project: string;
  readonly name: string;
  readonly state: string;
  readonly lastStep: number;
  readonly series: readonly string[];
  readonly interventions: readonly Intervention[];
  readonly places: Places;
}

export interface Pair {
  readonly run: string;
  /** where they part on the axis; null: they do not, or it cannot be told */
  readonly at: number | null;
  readonly isCompared: boolean;
  readonly text: string;
}

export interface Parted {
  readonly series: string;
  readonly kind: "total" | "component" | "gradient";
  readonly label: string;
  readonly pairs: readonly Pair[];
}

export interface VerdictCell {
  readonly run: string;
  readonly text: string;
  readonly detail: string;
  /** it has a value that is not finite */
  readonly isBad: boolean;
}

export interface VerdictRow {
  readonly key: string;
  readonly title: string;
  readonly cells: readonly VerdictCell[];
  readonly winners: readonly string[];
  readonly isEqual: boolean;
  readonly why: string;
}

export interface TreeNode {
  readonly key: string;
  readonly question: string;
  readonly answer: (typeof NODE_ANSWERS)[number];
  readonly why: string;
  readonly leads: string;
}

export interface Decision {
  readonly run: string;
  readonly against: string;
  readonly advice: (typeof ADVICES)[number];
  readonly text: string;
  readonly nodes: readonly TreeNode[];
  readonly cautions: readonly string[];
}

export interface Difference {
  readonly path: string;
  /** as it is shown, by run; a run without the path is missing */
  readonly values: ReadonlyMap<string, string>;
}

export interface Comparison {
  readonly axis: Axis;
  readonly note: string;
  readonly bands: readonly { readonly name: string; readonly low: number; readonly high: number }[];
  readonly runs: readonly ComparedRun[];
  readonly parting: readonly Parted[];
  readonly verdict: readonly VerdictRow[];
  readonly decisions: readonly Decision[];
  readonly differences: readonly Difference[];
  readonly leftOut: number;
  readonly same: number;
}

/** What the compare view asks of the server. */
export interface CompareDesk {
  readonly compare: (runs: readonly string[], axis: Axis, signal: AbortSignal) => Promise<Answer<Comparison>>;
  /** buckets of the series over these steps (null: all), by name */
  readonly points: (
    run: string,
    series: readonly string[],
    steps: { readonly from: number; readonly to: number } | null,
    signal: AbortSignal,
  ) => Promise<Answer<ReadonlyMap<string, Buckets>>>;
}

export function comparisonOf(answer: unknown): Comparison {
  const all = fields(answer);
  const axis = fields(all["axis"]);
  const places = fields(axis["places"]);
  const config = fields(all["config"]);
  return {
    axis: oneOf(axis["kind"], AXES, "step"),
    note: text(axis["note"]),
    bands: list(axis["bands"]).map((band) => ({
      name: text(fields(band)["name"]),
      low: numberOr(fields(band)["low"], 0),
      high: numberOr(fields(band)["high"], 0),
    })),
    runs: list(all["runs"]).map((run) => runOf(fields(run), places)),
    parting: list(all["parting"]).map((each) => partedOf(fields(each))),
    verdict: list(all["verdict"]).map((each) => rowOf(fields(each))),
    decisions: list(all["decisions"]).map((each) => decisionOf(fields(each))),
    differences: list(config["rows"]).map((each) => differenceOf(fields(each))),
    leftOut: integerOrNull(config["left_out"]) ?? 0,
    same: integerOrNull(config["same"]) ?? 0,
  };
}

function runOf(run: Fields, places: Fields): ComparedRun {
  const id = text(run["id"]);
  const own = fields(Object.hasOwn(places, id) ? places[id] : null);
  const numbers = (name: string): number[] => list(own[name]).map((value) => numberOr(value, 0));
  return {
    id,
    project: text(run["project"]),
    name: text(run["name"]),
    state: text(run["state"]),
    lastStep: integerOrNull(run["last_step"]) ?? -1,
    series: texts(run["series"]),
    interventions: list(run["interventions"]).map((each) => ({
      id: text(fields(each)["id"]),
      x: numberOr(fields(each)["x"], 0),
      text: text(fields(each)["text"]),
    })),
    places: {
      steps: numbers("step"),
      xs: numbers("x"),
      slopes: numbers("slope"),
      lastStep: integerOrNull(own["last_step"]) ?? -1,
    },
  };
}

function partedOf(each: Fields): Parted {
  return {
    series: text(each["series"]),
    kind: oneOf(each["kind"], ["total", "component", "gradient"] as const, "component"),
    label: text(each["label"]),
    pairs: list(each["pairs"]).map((pair) => ({
      run: text(fields(pair)["run"]),
      at: numberOrNull(fields(pair)["at"]),
      isCompared: fields(pair)["compared"] === true,
      text: text(fields(pair)["text"]),
    })),
  };
}

function rowOf(row: Fields): VerdictRow {
  return {
    key: text(row["key"]),
    title: text(row["title"]),
    cells: list(row["cells"]).map((cell) => ({
      run: text(fields(cell)["run"]),
      text: text(fields(cell)["text"]),
      detail: text(fields(cell)["detail"]),
      isBad: !Number.isFinite(numberOrNull(fields(cell)["value"]) ?? 0),
    })),
    winners: texts(row["winners"]),
    isEqual: row["equal"] === true,
    why: text(row["why"]),
  };
}

function decisionOf(each: Fields): Decision {
  return {
    run: text(each["run"]),
    against: text(each["against"]),
    advice: oneOf(each["advice"], ADVICES, "adopt"),
    text: text(each["text"]),
    nodes: list(each["nodes"]).map((node) => ({
      key: text(fields(node)["key"]),
      question: text(fields(node)["question"]),
      answer: oneOf(fields(node)["answer"], NODE_ANSWERS, "unknown"),
      why: text(fields(node)["why"]),
      leads: text(fields(node)["leads"]),
    })),
    cautions: texts(each["cautions"]),
  };
}

function differenceOf(row: Fields): Difference {
  const values = Object.entries(fieldsOrNull(row["values"]) ?? {});
  return { path: text(row["path"]), values: new Map(values.map(([run, value]) => [run, shown(value)])) };
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
