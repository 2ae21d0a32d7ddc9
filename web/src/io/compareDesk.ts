/**
 * Asks for a comparison, and for the points of each compared run.
 *
 * Rules of this file: no address is longer than servers take; who no longer waits gives the request up by its signal.
 */
import type { Answer } from "../lib/answer";
import { type Buckets, bucketsOf } from "../lib/buckets";
import { type Axis, type CompareDesk, type Comparison, comparisonOf } from "../lib/compare";
import { fields, fieldsOrNull } from "../lib/decode";
import { answerOf } from "./answers";
import { type Api, Unreadable } from "./api";
import { pathOf } from "./history";

/** As in the run view: more than the pixels of a wide chart. */
const WIDTH = 1500;
const NAMES_PER_REQUEST = 30;

export class HttpCompareDesk implements CompareDesk {
  constructor(private readonly api: Pick<Api, "get" | "getPacked">) {}

  readonly compare = (runs: readonly string[], axis: Axis, signal: AbortSignal): Promise<Answer<Comparison>> => {
    const query = new URLSearchParams(runs.map((run) => ["run", run]));
    query.set("axis", axis);
    return answerOf(this.api.get(`api/compare?${query.toString()}`, signal).then(comparisonOf));
  };

  readonly points = (
    run: string,
    series: readonly string[],
    steps: { readonly from: number; readonly to: number } | null,
    signal: AbortSignal,
  ): Promise<Answer<ReadonlyMap<string, Buckets>>> => {
    const groups = Array.from({ length: Math.ceil(series.length / NAMES_PER_REQUEST) }, (_, i) =>
      series.slice(i * NAMES_PER_REQUEST, (i + 1) * NAMES_PER_REQUEST),
    );
    const asked = groups.map((names) => this.some(run, names, steps, signal));
    return answerOf(Promise.all(asked).then((found) => new Map(found.flat())));
  };

  private async some(
    run: string,
    names: readonly string[],
    steps: { readonly from: number; readonly to: number } | null,
    signal: AbortSignal,
  ): Promise<[string, Buckets][]> {
    const query = new URLSearchParams(names.map((name) => ["series", name]));
    query.set("width", String(WIDTH));
    for (const [name, value] of Object.entries(steps ?? {})) query.set(name, String(value));
    const answer = fields(await this.api.getPacked(`${pathOf(run)}/points?${query.toString()}`, signal));
    const found = fieldsOrNull(answer["series"]);
    if (found === null) throw new Unreadable();
    return Object.entries(found).map(([name, value]): [string, Buckets] => [name, bucketsOf(value)]);
  }
}
