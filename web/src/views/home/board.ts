/**
 * What stands behind the list of runs: how it is looked at, which runs are chosen, and what came of what was done.
 *
 * Rules of this file: no DOM. Whatever is done to runs can be taken back from where it is told.
 */
import { computed, signal } from "@preact/signals";
import type { Answer } from "../../lib/answer";
import { type DeletedRun, type HomeDesk, type RunChange, type Wish, runsText } from "../../lib/home";
import { type Chosen, namesText } from "../../lib/homeDeeds";
import type { Run } from "../../lib/models";
import { nameOf } from "../../lib/runNames";

/** So many requests at once; a browser has six connections to a server, and points want some. */
const AT_ONCE = 4;

export interface Told {
  readonly text: string;
  /** null: it cannot be taken back */
  readonly undo: (() => Promise<void>) | null;
}

export type Open = "rename" | "tag" | "deleted" | null;

export class HomeBoard {
  readonly wish;
  readonly chosen = signal<Chosen>(new Set());
  readonly told = signal<Told | null>(null);
  readonly fault = signal<string | null>(null);
  readonly open = signal<Open>(null);
  readonly deleted = signal<readonly DeletedRun[] | null>(null);
  readonly isBusy = signal(false);
  readonly count = computed(() => this.chosen.value.size);

  constructor(private readonly desk: HomeDesk) {
    this.wish = signal<Wish>(desk.remembered());
  }

  look(wish: Partial<Wish>): void {
    this.wish.value = { ...this.wish.value, ...wish };
    this.desk.remember(this.wish.value);
  }

  /** What is no longer listed is no longer chosen: nothing is done to what nobody sees. */
  keep(listed: readonly Run[]): void {
    const left = listed.flatMap(({ id }) => (this.chosen.value.has(id) ? [id] : []));
    if (left.length < this.chosen.value.size) this.chosen.value = new Set(left);
  }

  /** Changes each run, and offers to change it back. */
  async change(changes: ReadonlyMap<Run, RunChange>, text: string): Promise<void> {
    const done = await this.each([...changes], ([run, change]) => this.desk.change(run.id, change));
    const back = new Map(done.map(([run, change]) => [run, reverse(run, change)]));
    this.tell(done.length, text, () => this.change(back, "Taken back."));
  }

  async remove(runs: readonly Run[]): Promise<void> {
    const done = await this.each(runs, (run) => this.desk.remove(run));
    this.chosen.value = new Set([...this.chosen.value].filter((id) => !done.some((run) => run.id === id)));
    const text = done.length === 1 ? `${namesText(done)} is deleted` : `${runsText(done.length)} are deleted`;
    this.tell(done.length, `${text}; until it is too late the list of deleted runs has them.`, () => this.restore(done));
    if (done.length > 0) await this.load();
  }

  async restore(runs: readonly Run[]): Promise<void> {
    const done = await this.each(runs, (run) => this.desk.restore(run.id));
    const text = done.length === 1 ? `${namesText(done)} is there again.` : `${runsText(done.length)} are there again.`;
    this.tell(done.length, text, null);
    await this.load();
  }

  /** The deleted runs that can be restored. */
  async load(): Promise<void> {
    const answer = await this.desk.deleted();
    if (answer.ok) this.deleted.value = answer.value;
  }

  private tell(done: number, text: string, undo: (() => Promise<void>) | null): void {
    if (done > 0) this.told.value = { text, undo };
  }

  /** What went well, a few at a time; what did not is told. */
  private async each<T extends Run | readonly [Run, RunChange]>(
    items: readonly T[],
    act: (item: T) => Promise<Answer<unknown>>,
  ): Promise<T[]> {
    this.isBusy.value = true;
    this.fault.value = null;
    this.told.value = null;
    const done: T[] = [];
    const faults: string[] = [];
    for (let at = 0; at < items.length; at += AT_ONCE) {
      const some = items.slice(at, at + AT_ONCE);
      const answers = await Promise.all(some.map(act));
      answers.forEach((answer, i) => {
        const item = some[i];
        if (item === undefined) return;
        if (answer.ok) done.push(item);
        else faults.push(`${nameOf("id" in item ? item : item[0])}: ${answer.fault}`);
      });
    }
    this.isBusy.value = false;
    const [first] = faults;
    if (first !== undefined) this.fault.value = faults.length === 1 ? first : `${first} (and ${faults.length - 1} more)`;
    return done;
  }
}

function reverse(run: Run, change: RunChange): RunChange {
  return {
    ...(change.label === undefined ? {} : { label: run.label }),
    ...(change.note === undefined ? {} : { note: run.note }),
    ...(change.tags === undefined ? {} : { tags: run.tags }),
    ...(change.archived === undefined ? {} : { archived: run.archived }),
  };
}
