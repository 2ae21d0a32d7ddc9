/** The columns of the list of runs: what their heads say, and what a press on one sorts by. */
import type { SortKey } from "../../lib/home";

export interface Column {
  readonly key: string;
  readonly head: string;
  /** null: nothing to sort by */
  readonly sort: SortKey | null;
  readonly isNumber?: true;
}

export const COLUMNS: readonly Column[] = [
  { key: "health", head: "Health", sort: "health" },
  { key: "name", head: "Name", sort: "name" },
  { key: "project", head: "Project", sort: "project" },
  { key: "stage", head: "Stage", sort: "stage" },
  { key: "step", head: "Step", sort: "step", isNumber: true },
  { key: "total", head: "Total", sort: "total", isNumber: true },
  { key: "rate", head: "Steps/s", sort: "rate", isNumber: true },
  { key: "curve-cell", head: "Total so far", sort: null },
  { key: "alerts", head: "Alerts", sort: "alerts" },
  { key: "age", head: "Data age", sort: "age" },
  { key: "began", head: "Began", sort: "began" },
  { key: "tags", head: "Tags", sort: null },
];
