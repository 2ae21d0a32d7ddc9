/**
 * All series of the run on the screen: history by bucket, live points behind it, and the zoomed window in detail.
 *
 * Rules of this file:
 * - History is the truth: what came live before it was asked for is replaced by it, what came since is put behind it.
 * - After a rollback the rows begin anew at an earlier step. Late rows of the older branch are told from the new ones by
 *   their steps, because the wire does not say it: the older branch goes on upwards, the new one begins below its end.
 * - Of a crowd (crowd.ts) only the chosen members have points.
 */
import type { Buckets } from "./buckets";
import { CROWD_KINDS, type Chosen, Crowd, crowdKindOf, seriesOf } from "./crowd";
import type { Columns } from "./decode";
import { SeriesBuffer, bufferOf, coveredTo } from "./series";

export interface Detail {
  readonly from: number;
  readonly to: number;
  readonly buffers: ReadonlyMap<string, SeriesBuffer>;
}

type Buffers = Map<string, SeriesBuffer>;

export class PointStore {
  readonly buffers: Buffers = new Map();
  readonly crowds = CROWD_KINDS.map((kind) => new Crowd(kind));
  private detail: Detail | null = null;
  /** what came live since the newest history was asked for */
  private since: Buffers | null = null;
  /** after a rollback: rows above this step are still of the older branch */
  private olderAbove: number | null = null;

  clear(): void {
    this.buffers.clear();
    for (const crowd of this.crowds) crowd.clear();
    this.detail = null;
    this.since = null;
    this.olderAbove = null;
  }

  get zoomed(): Detail | null {
    return this.detail;
  }

  setDetail(detail: Detail | null): void {
    this.detail = detail;
  }

  /** Appends live points; answers whether a series, or a member of a crowd, was seen for the first time. */
  append(all: Columns): boolean {
    const columns = this.withoutOlder(all);
    if (columns.steps.length === 0) return false;
    let isNew = false;
    for (const crowd of this.crowds) {
      if (!crowd.noteAll(columns)) continue;
      this.choose(crowd);
      isNew = true;
    }
    columns.names.forEach((name, i) => {
      const values = columns.values[i];
      if (values === undefined || !this.holds(name)) return;
      isNew = !this.buffers.has(name) || isNew;
      appendTo(bufferIn(this.buffers, name), columns.steps, values);
      if (this.since !== null) appendTo(bufferIn(this.since, name), columns.steps, values);
      this.appendDetail(name, columns.steps, values);
    });
    return isNew;
  }

  /** Whether points of a series are kept: of a crowd only those of the chosen. */
  holds(series: string): boolean {
    const kind = crowdKindOf(series);
    return kind === undefined || this.crowdOf(kind.id).shows(series);
  }

  crowdOf(id: Chosen["id"]): Crowd {
    const crowd = this.crowds.find((one) => one.kind.id === id);
    if (crowd === undefined) throw new Error(`no crowd ${id}`);
    return crowd;
  }

  /** Chooses anew who of a crowd is shown and forgets the points of those who left; answers the series that came. */
  choose(crowd: Crowd): string[] {
    const { came, left } = crowd.choose();
    for (const name of left.flatMap((member) => seriesOf(crowd.kind, member))) {
      this.buffers.delete(name);
      this.since?.delete(name);
    }
    return came.flatMap((member) => seriesOf(crowd.kind, member));
  }

  /** The series whose points are kept; null where that is all that there are. */
  wanted(): string[] | null {
    if (this.crowds.every(({ chosen }) => chosen.members.length === chosen.of)) return null;
    const chosen = this.crowds.flatMap(({ kind, chosen: { members } }) =>
      members.flatMap((member) => seriesOf(kind, member)),
    );
    return [...new Set([...this.buffers.keys(), ...chosen])];
  }

  /** History is asked for now. */
  beginLoad(): void {
    this.since = new Map();
  }

  endLoad(): void {
    this.since = null;
  }

  /** Puts history in; live points that came since it was asked for and are newer than it stay. */
  load(name: string, buckets: Buckets, lastStep: number): void {
    if (!this.holds(name)) return;
    this.buffers.set(name, joined(buckets, lastStep, (this.since ?? this.buffers).get(name), Infinity));
  }

  /** A series of a window that was asked for in detail: the answer, and what came live meanwhile and is newer. */
  detailOf(name: string, buckets: Buckets, lastStep: number, to: number): SeriesBuffer {
    return joined(buckets, Math.min(lastStep, to), this.buffers.get(name), to);
  }

  /** Forgets the series that neither the server names nor came since: they were of an older branch. */
  prune(named: ReadonlySet<string>): void {
    for (const name of this.buffers.keys())
      if (!named.has(name) && this.since?.has(name) !== true) this.buffers.delete(name);
  }

  /** The run went back: what was at and after `to` is of an older branch. */
  rollBack(to: number): void {
    this.olderAbove = Math.max(to, this.extent()?.[1] ?? to);
    for (const buffers of [this.buffers, this.since, this.detail?.buffers])
      for (const buffer of buffers?.values() ?? []) buffer.truncate(to);
    for (const crowd of this.crowds) crowd.rollBack(to);
  }

  /** Whatever comes from now on is of the newest branch. */
  forgetOlder(): void {
    this.olderAbove = null;
  }

  /** The rows of `columns` without those of an older branch, which may still be under way after a rollback. */
  private withoutOlder(columns: Columns): Columns {
    const end = this.olderAbove;
    if (end === null) return columns;
    const from = columns.steps.findIndex((step) => step <= end);
    if (from >= 0) this.olderAbove = null;
    const at = from < 0 ? columns.steps.length : from;
    return { ...columns, steps: columns.steps.subarray(at), values: columns.values.map((one) => one.subarray(at)) };
  }

  private appendDetail(name: string, steps: Float64Array, values: Float64Array): void {
    const detail = this.detail;
    const buffer = detail?.buffers.get(name);
    if (detail === null || buffer === undefined) return;
    steps.forEach((step, j) => {
      if (step >= detail.from && step <= detail.to) buffer.append(step, values[j] ?? NaN);
    });
  }

  /** The buffer to draw [from, to] from: the detail where it covers that, else all. */
  view(name: string, from: number, to: number): SeriesBuffer | undefined {
    const detail = this.detail;
    const isCovered = detail !== null && detail.from <= from && to <= detail.to;
    return (isCovered ? detail.buffers.get(name) : undefined) ?? this.buffers.get(name);
  }

  /** [first, last] step over all series; null while there is no point. */
  extent(): readonly [number, number] | null {
    let first = Infinity;
    let last = -Infinity;
    for (const buffer of this.buffers.values()) {
      if (buffer.length === 0) continue;
      first = Math.min(first, buffer.firstStep());
      last = Math.max(last, buffer.lastStep(), buffer.reach);
    }
    return last < first ? null : [first, last];
  }
}

/** The buckets, and behind them the entries of `live` up to the step `to` that they do not cover. */
function joined(buckets: Buckets, lastStep: number, live: SeriesBuffer | undefined, to: number): SeriesBuffer {
  const buffer = bufferOf(buckets);
  buffer.reach = coveredTo(buckets, lastStep);
  if (live === undefined) return buffer;
  for (let at = live.indexFrom(coveredTo(buckets, lastStep) + 1); at < live.length; at += 1) {
    const step = live.steps[at] ?? 0;
    if (step <= to) buffer.put(step, live.entry(at));
  }
  return buffer;
}

function bufferIn(buffers: Buffers, name: string): SeriesBuffer {
  const known = buffers.get(name);
  if (known !== undefined) return known;
  const buffer = new SeriesBuffer();
  buffers.set(name, buffer);
  return buffer;
}

function appendTo(buffer: SeriesBuffer, steps: Float64Array, values: Float64Array): void {
  steps.forEach((step, i) => buffer.append(step, values[i] ?? NaN));
}
