/**
 * What the compare view holds: the comparison, the points of its runs on one axis, and what of them is on the screen.
 *
 * Rules of this file: an answer about runs, or an axis, that nobody looks at any more is thrown away; a refusal leaves
 * what was there before on the screen, beside its sentence.
 */
import { computed, signal } from "@preact/signals";
import { type ComparedChart, comparedCharts, seriesOf } from "../../charts/compared";
import type { Buckets } from "../../lib/buckets";
import type { Axis, CompareDesk, ComparedRun, Comparison } from "../../lib/compare";
import { keyOf } from "../../lib/compareLook";
import { placed, stepsBetween, ticksOf } from "../../lib/comparePlaces";
import type { Range } from "../../lib/fold";
import { bufferOf } from "../../lib/series";
import { PointStore } from "../../lib/store";

/** The one name that no msgpack map has for a page: its reader refuses it, and with it the whole answer. */
const UNREADABLE = "__proto__";

export class CompareModel {
  readonly axis = signal<Axis>("step");
  readonly isWeighted = signal(false);
  readonly shown = signal<Comparison | null>(null);
  readonly fault = signal<string | null>(null);
  readonly isLoading = signal(false);
  readonly range = signal<Range>({ kind: "all" });
  readonly cursor = signal<number | null>(null);
  /** how many pixels the axis of every chart takes */
  readonly columns = signal(0);
  /** grows when points come */
  readonly seen = signal(0);
  readonly store = new PointStore();
  readonly charts = computed<readonly ComparedChart[]>(() =>
    this.shown.value === null ? [] : comparedCharts(this.shown.value, this.isWeighted.value),
  );
  private loading: AbortController | null = null;
  private zooming: AbortController | null = null;

  constructor(
    private readonly desk: CompareDesk,
    private readonly redraw: () => void,
  ) {}

  /** Asks for everything; `isNew`: other runs or another axis, for which the zoom says nothing. */
  async load(runs: readonly string[], isNew: boolean): Promise<void> {
    this.end();
    if (isNew) this.range.value = { kind: "all" };
    if (runs.length < 2) {
      this.shown.value = null;
      this.fault.value = null;
      this.store.clear();
      return;
    }
    const { signal: wish } = (this.loading = new AbortController());
    this.isLoading.value = true;
    const answer = await this.desk.compare(runs, this.axis.value, wish);
    if (wish.aborted) return;
    this.fault.value = answer.ok ? null : answer.fault;
    if (answer.ok) {
      if (isNew) this.store.clear();
      this.shown.value = answer.value;
      await this.fill(wish);
      // the window was let go above, and places may have moved under it
      if (this.isWanted(wish)) void this.zoom();
    }
    this.finished(wish);
  }

  async pickWeighted(isWeighted: boolean): Promise<void> {
    this.isWeighted.value = isWeighted;
    const { signal: wish } = (this.loading ??= new AbortController());
    await this.fill(wish);
    await this.zoom();
  }

  readonly setRange = (range: Range): void => {
    this.range.value = range;
    this.redraw();
    void this.zoom();
  };

  private isWanted(wish: AbortSignal): boolean {
    return this.loading?.signal === wish;
  }

  /** Nobody waits for anything any more. */
  end(): void {
    this.loading?.abort();
    this.zooming?.abort();
    this.loading = this.zooming = null;
    this.isLoading.value = false;
  }

  private async fill(wish: AbortSignal): Promise<void> {
    const comparison = this.shown.value;
    if (comparison === null) return;
    const found = await this.ask(comparison, () => null, wish);
    if (wish.aborted) return;
    for (const [name, buckets] of found) this.store.load(name, buckets, buckets.step.at(-1) ?? -1);
    this.told();
  }

  /** The zoomed window in detail, where there is one. */
  private async zoom(): Promise<void> {
    this.zooming?.abort();
    this.store.setDetail(null);
    const [comparison, range] = [this.shown.value, this.range.value];
    if (comparison === null || range.kind !== "fixed") return;
    const { signal: wish } = (this.zooming = new AbortController());
    const ticks = ticksOf(comparison.axis);
    const steps = (run: ComparedRun): Steps | null =>
      stepsBetween(run.places, range.from / ticks, range.to / ticks) ?? { from: 1, to: 0 };
    const found = await this.ask(comparison, steps, wish);
    if (wish.aborted) return;
    const buffers = new Map(found.map(([name, buckets]) => [name, bufferOf(buckets)]));
    this.store.setDetail({ from: range.from, to: range.to, buffers });
    this.told();
  }

  /** By key, where they stand. */
  private async ask(
    comparison: Comparison,
    steps: (run: ComparedRun) => Steps | null,
    wish: AbortSignal,
  ): Promise<[string, Buckets][]> {
    const ticks = ticksOf(comparison.axis);
    const answers = await Promise.all(
      comparison.runs.map(async (run, i): Promise<[string, Buckets][]> => {
        const names = seriesOf(run, this.charts.value).filter((name) => name !== UNREADABLE);
        const answer = await this.desk.points(run.id, names, steps(run), wish);
        if (!answer.ok) {
          if (!wish.aborted) this.fault.value = answer.fault;
          return [];
        }
        return [...answer.value].map(([name, buckets]) => [keyOf(i, name), placed(buckets, run.places, ticks)]);
      }),
    );
    return answers.flat();
  }

  private finished(wish: AbortSignal): void {
    if (!wish.aborted) this.isLoading.value = false;
  }

  private told(): void {
    this.seen.value += 1;
    this.redraw();
  }
}

interface Steps {
  readonly from: number;
  readonly to: number;
}
