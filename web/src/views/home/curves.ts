/**
 * The small curves of the runs in view.
 *
 * Rules of this file: no DOM; only what is in view is asked for, one question at a time, and a run that goes on is asked
 * about again after AGAIN_MS. A question that failed is asked again like any other.
 */
import { signal } from "@preact/signals";
import { type HomeDesk, TOTALS_MAX } from "../../lib/home";
import { type DrawnTotal, drawnTotal } from "../../lib/homeSpark";
import type { Run } from "../../lib/models";

export const AGAIN_MS = 10_000;

interface Asked {
  readonly step: number | null;
  readonly atMs: number;
}

export class Curves {
  readonly drawn = signal<ReadonlyMap<string, DrawnTotal>>(new Map());
  private readonly asked = new Map<string, Asked>();
  private isAsking = false;

  constructor(private readonly desk: Pick<HomeDesk, "totals">) {}

  /** These are in view now. */
  async want(runs: readonly Run[], nowMs: number): Promise<void> {
    if (this.isAsking) return;
    const wanted = runs.filter((run) => run.step !== null && this.isDue(run, nowMs)).slice(0, TOTALS_MAX);
    if (wanted.length === 0) return;
    this.isAsking = true;
    const answer = await this.desk.totals(wanted.map((run) => run.id));
    this.isAsking = false;
    for (const run of wanted) this.asked.set(run.id, { step: answer.ok ? run.step : null, atMs: nowMs });
    if (!answer.ok) return;
    const next = new Map(this.drawn.value);
    for (const run of wanted) next.set(run.id, drawnTotal(answer.value[run.id] ?? []));
    this.drawn.value = next;
  }

  private isDue(run: Run, nowMs: number): boolean {
    const asked = this.asked.get(run.id);
    return asked === undefined || (asked.step !== run.step && nowMs - asked.atMs >= AGAIN_MS);
  }
}
