/**
 * Loads the points of the run on the screen over HTTP: all of it, a zoomed window, and of crowds only what is shown.
 *
 * Rules of this file: an answer about a run that is no longer on the screen is thrown away; what came live meanwhile is
 * kept by the store; who of a crowd is shown follows the newest values, but changes rarely.
 */
import { type Buckets, bucketsOf } from "../lib/buckets";
import { type Crowd, crowdKindOf, isRanking, seriesOf } from "../lib/crowd";
import { type Fields, fields, fieldsOrNull, integerOrNull } from "../lib/decode";
import type { StepRange } from "../lib/fold";
import type { SeriesInfo } from "../lib/models";
import type { SeriesBuffer } from "../lib/series";
import type { PointStore } from "../lib/store";
import { type Api, Unreadable } from "./api";
import type { Following } from "./following";

/** A bucket a pixel is all that a screen shows: asked for in these strides, so that little changes ask for nothing. */
const WIDTH_STRIDE = 128;
const WIDTH_LEAST = 512;
const WIDTH_MOST = 4096;
/** Before a chart is there to be measured: it has the whole window, or on a wide one (tokens.css) what is between the rails. */
const RAILS_FROM_PX = 760;
const BETWEEN_RAILS = 0.55;
/** Keeps the address of a request far below what servers accept, and its answer small enough to be drawn early. */
const NAMES_PER_REQUEST = 30;
/** One value a name is a small answer: here only the address counts. */
const ADDRESS_LIMIT = 6000;
/** A line that comes or goes more often than this disturbs whoever reads the chart. */
const CHOOSE_EVERY_MS = 5000;

/** The one name that no msgpack map has for a page: its reader refuses it, and with it the whole answer. */
const UNREADABLE = "__proto__";

export interface HistoryParts {
  readonly api: Api;
  readonly store: PointStore;
  readonly following: Following;
  readonly isShown: (run: string) => boolean;
  readonly nowMs: () => number;
  /** the series that a person is looking at: what is waited for */
  readonly inView: () => ReadonlySet<string>;
  /** how many pixels a chart has for its steps */
  readonly columns: () => number;
  /** the last steps, where the charts show these: they go on while others are loaded; else null */
  readonly lastSteps: () => StepRange | null;
  /** history was put in place */
  readonly onHistory: (run: string) => void;
}

export class History {
  private loads = 0;
  private chosenAtMs = 0;
  private loadedWidth = 0;
  /** the window that is zoomed to, from when it is asked for: before the first points there is nothing to ask for */
  private window: StepRange | null = null;
  private zoomed: AbortController | null = null;

  constructor(private readonly parts: HistoryParts) {}

  /** Loads the series that `declared` names when it is asked. */
  async load(run: string, declared: () => Promise<readonly SeriesInfo[]>): Promise<void> {
    const { store } = this.parts;
    const mine = (this.loads += 1);
    store.beginLoad();
    try {
      const infos = await declared();
      if (!this.parts.isShown(run)) return;
      await this.fill(run, namesOf(infos, undefined));
      const last = infos.reduce((most, { lastStep }) => Math.max(most, lastStep ?? -1), -1);
      for (const crowd of store.crowds) {
        // What is known of later steps is of an older branch.
        crowd.rollBack(last + 1);
        await this.fillCrowd(run, crowd, infos);
      }
      if (mine === this.loads && this.parts.isShown(run)) store.prune(new Set(infos.map((info) => info.name)));
    } finally {
      // A later load has begun meanwhile: what comes live is kept for that one.
      if (mine === this.loads) store.endLoad();
    }
  }

  /** Whether the charts have grown since their points were loaded. */
  get isTooCoarse(): boolean {
    return this.loadedWidth > 0 && this.width() > this.loadedWidth;
  }

  /** Points came: from time to time, who of a crowd is shown is chosen anew, and whoever came is loaded. */
  async follow(run: string): Promise<void> {
    const { store, following, nowMs } = this.parts;
    if (nowMs() - this.chosenAtMs < CHOOSE_EVERY_MS) return;
    this.chosenAtMs = nowMs();
    const came = store.crowds.flatMap((crowd) => store.choose(crowd));
    const wanted = following.hasAll ? store.wanted() : null;
    const fresh = wanted === null ? [] : await following.narrow(wanted);
    const names = [...new Set([...came, ...fresh])].filter((name) => name !== UNREADABLE);
    if (names.length > 0 && this.parts.isShown(run)) await this.fill(run, names);
  }

  /** Loads the steps [from, to] in detail. */
  async zoom(run: string, from: number, to: number): Promise<void> {
    this.zoomed?.abort();
    const controller = new AbortController();
    this.zoomed = controller;
    this.window = { from, to };
    const { store } = this.parts;
    // What comes later comes live: buckets are for the steps that there are.
    const end = Math.min(to, Math.max(from + 1, store.extent()?.[1] ?? to));
    const limits = { from: Math.max(0, from), to: end, width: this.widthOf(end - from + 1) };
    const buffers = new Map<string, SeriesBuffer>();
    const names = [...store.buffers.keys()].filter((name) => name !== UNREADABLE);
    const inView = this.parts.inView();
    // what a person looks at is not kept waiting by what nobody sees
    for (const some of [names.filter((name) => inView.has(name)), names.filter((name) => !inView.has(name))]) {
      if (some.length === 0) continue;
      const answers = await this.ask(run, chunks(some), limits, controller.signal);
      if (controller.signal.aborted || !this.parts.isShown(run)) return;
      for (const { series, lastStep } of answers)
        for (const [name, buckets] of series) buffers.set(name, store.detailOf(name, buckets, Math.min(lastStep, end), to));
      store.setDetail({ from, to, buffers });
      this.parts.onHistory(run);
    }
  }

  /** Loads the zoomed window again, where there is one: history has changed under it. */
  async zoomAgain(run: string): Promise<void> {
    const window = this.parts.lastSteps() ?? this.window;
    if (window !== null) await this.zoom(run, window.from, window.to);
  }

  unzoom(): void {
    this.zoomed?.abort();
    this.window = null;
    this.parts.store.setDetail(null);
  }

  private async fill(run: string, names: readonly string[]): Promise<void> {
    const width = this.width();
    const answers = await this.ask(run, chunks(names), { width });
    if (!this.parts.isShown(run)) return;
    for (const { series, lastStep } of answers)
      for (const [name, buckets] of series) this.parts.store.load(name, buckets, lastStep);
    this.loadedWidth = width;
    this.parts.onHistory(run);
  }

  /** How many buckets the screen can show. */
  private width(): number {
    const { innerWidth, devicePixelRatio } = window;
    const guessed = innerWidth < RAILS_FROM_PX ? innerWidth : innerWidth * BETWEEN_RAILS;
    const pixels = (this.parts.columns() || guessed) * devicePixelRatio;
    return Math.min(WIDTH_MOST, Math.max(WIDTH_LEAST, Math.ceil(pixels / WIDTH_STRIDE) * WIDTH_STRIDE));
  }

  /** Of so many steps: where columns of several are drawn, which are wider than a pixel, half of it is enough. */
  private widthOf(steps: number): number {
    const width = this.width();
    return steps > width ? width / 2 : width;
  }

  /** Asks for the newest value of each member, and then for the points of the largest. */
  private async fillCrowd(run: string, crowd: Crowd, infos: readonly SeriesInfo[]): Promise<void> {
    const lasts = new Map<string, number>();
    for (const { name, lastStep } of infos)
      if (crowdKindOf(name) === crowd.kind && isRanking(crowd.kind, name) && crowd.isBehind(name, lastStep ?? -1))
        lasts.set(name, lastStep ?? -1);
    const limits = { from: Math.min(...lasts.values()), to: Math.max(...lasts.values()), width: 1 };
    for (const { series } of await this.ask(run, addresses([...lasts.keys()]), limits)) {
      if (!this.parts.isShown(run)) return;
      for (const [name, buckets] of series) crowd.note(name, lasts.get(name) ?? -1, buckets.last[0] ?? NaN);
    }
    if (!this.parts.isShown(run)) return;
    this.parts.store.choose(crowd);
    const chosen = new Set(crowd.chosen.members.flatMap((member) => seriesOf(crowd.kind, member)));
    const names = namesOf(infos, crowd).filter((name) => chosen.has(name));
    if (names.length > 0) await this.fill(run, names);
  }

  private async ask(
    run: string,
    groups: readonly (readonly string[])[],
    limits: Readonly<Record<string, number>>,
    signal?: AbortSignal,
  ): Promise<{ series: [string, Buckets][]; lastStep: number }[]> {
    return Promise.all(
      groups.map(async (names) => {
        const query = new URLSearchParams(names.map((name) => ["series", name]));
        for (const [name, value] of Object.entries(limits)) query.set(name, String(value));
        const path = `${pathOf(run)}/points?${query.toString()}`;
        const answer: Fields = fields(await this.parts.api.getPacked(path, signal));
        const found = fieldsOrNull(answer["series"]);
        if (found === null) throw new Unreadable();
        const series = Object.entries(found);
        return {
          series: series.map(([name, value]): [string, Buckets] => [name, bucketsOf(value)]),
          lastStep: integerOrNull(answer["last_step"]) ?? -1,
        };
      }),
    );
  }
}

/** The names that belong to a crowd, or to none. */
function namesOf(infos: readonly SeriesInfo[], crowd: Crowd | undefined): string[] {
  return infos.map((info) => info.name).filter((name) => crowdKindOf(name) === crowd?.kind && name !== UNREADABLE);
}

export function pathOf(run: string): string {
  return `api/runs/${encodeURIComponent(run)}`;
}

function chunks(names: readonly string[], size = NAMES_PER_REQUEST): string[][] {
  const count = Math.ceil(names.length / size);
  return Array.from({ length: count }, (_, i) => names.slice(i * size, (i + 1) * size));
}

/** Names in groups whose address stays short enough; a name alone always is. */
function addresses(names: readonly string[]): string[][] {
  const groups: string[][] = [];
  let room = 0;
  for (const name of names) {
    const size = encodeURIComponent(name).length + 8;
    if (size > room) {
      groups.push([]);
      room = ADDRESS_LIMIT;
    }
    groups.at(-1)?.push(name);
    room -= size;
  }
  return groups;
}
