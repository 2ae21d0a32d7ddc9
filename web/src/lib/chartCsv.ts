/**
 * What a chart shows, as CSV.
 *
 * Rules of this file: pure. A row a column of pixels; where one folds several points, their lowest, highest and mean. What
 * is not finite is a word, as in the server's export (docs/export.md), and names are made safe for spreadsheets as there.
 */
import { type Column, type Folded, PRESENT, hasSpread } from "./fold";
import { NAN, NEG_INF, POS_INF } from "./series";

const FORMULA = /((?:^|[;,|"])\s*)('*[=+\-@＝＋－＠])/gu;

/** A cell of the head: quoted, and no spreadsheet takes it for a formula. */
export function headCell(name: string): string {
  const named = /^step'*$/.test(name) ? `${name}'` : name;
  return `"${named.replace(FORMULA, "$1'$2").replaceAll('"', '""')}"`;
}

const WORDS: readonly (readonly [number, string])[] = [
  [NAN, "NaN"],
  [POS_INF, "Infinity"],
  [NEG_INF, "-Infinity"],
];

function words(flags: number): string {
  return WORDS.filter(([flag]) => (flags & flag) !== 0)
    .map(([, word]) => word)
    .join(" ");
}

function cell(value: number): string {
  return Number.isFinite(value) ? (Object.is(value, -0) ? "-0.0" : String(value)) : "";
}

/** Each series' cells in a column that holds single points. */
function pointCells(column: Column, at: number): string[] {
  if (column.has[at] !== PRESENT) return [""];
  return [(column.flags[at] ?? 0) === 0 ? cell(column.last[at] ?? NaN) : words(column.flags[at] ?? 0)];
}

function spreadCells(column: Column, at: number): string[] {
  if (column.has[at] !== PRESENT) return ["", "", "", ""];
  const count = column.count[at] ?? 0;
  const mean = count > 0 ? (column.sum[at] ?? 0) / count : NaN;
  return [cell(column.low[at] ?? NaN), cell(column.high[at] ?? NaN), cell(mean), words(column.flags[at] ?? 0)];
}

/** `names` in the order of `folded.series`; rows within [from, to] only. */
export function chartCsv(names: readonly string[], folded: Folded, from: number, to: number): string {
  const isSpread = hasSpread(folded);
  const head = names.flatMap((name) =>
    isSpread ? ["min", "max", "mean", "not finite"].map((end) => headCell(`${name} ${end}`)) : [headCell(name)],
  );
  const rows = folded.columns.flatMap((at, i) => {
    const step = folded.steps[i] ?? 0;
    if (step < from || step > to) return [];
    const cells = folded.series.flatMap((column) => (isSpread ? spreadCells(column, at) : pointCells(column, at)));
    return cells.every((one) => one === "") ? [] : [[String(step), ...cells].join(",")];
  });
  return [['"step"', ...head].join(","), ...rows, ""].join("\r\n");
}
