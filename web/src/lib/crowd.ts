/**
 * Series that come by the hundred, of which a chart shows the largest: gradient norms of groups and of every parameter,
 * activations of every block.
 *
 * Rules of this file:
 * - Of a member that is not shown only its latest value is kept: 500 parameters are 500 numbers, not 500 curves.
 * - What is not finite is larger than everything: it is what a person looks for.
 * - Who is shown changes rarely and keeps its place (its colour): a chart that reshuffles cannot be read.
 */
import type { Columns } from "./decode";
import { byName } from "./order";

/** As many lines as can be told apart in one chart. */
export const CROWD_SHOWN = 12;
/** A newcomer must be larger by this factor: noise at the edge must not swap lines every few seconds. */
const MARGIN = 1.2;

export interface CrowdKind {
  readonly id: "groups" | "parameters" | "activations";
  readonly noun: string;
  readonly prefix: string;
  /** endings of the series of one member; the first one ranks */
  readonly endings: readonly string[];
  /** a series of its own under the same prefix: the sum of the members, always shown */
  readonly sum: string | null;
}

export const CROWD_KINDS: readonly CrowdKind[] = [
  { id: "groups", noun: "groups", prefix: "grad_norm/", endings: [""], sum: "grad_norm/total" },
  { id: "parameters", noun: "parameters", prefix: "param_grad_norm/", endings: [""], sum: null },
  { id: "activations", noun: "modules", prefix: "activation/", endings: ["/rms", "/absmax"], sum: null },
];

/** What of a crowd is shown. */
export interface Chosen {
  readonly id: CrowdKind["id"];
  /** in the order of their places */
  readonly members: readonly string[];
  /** how many there are */
  readonly of: number;
}

interface Latest {
  step: number;
  size: number;
}

export function crowdKindOf(series: string): CrowdKind | undefined {
  return CROWD_KINDS.find((kind) => series.startsWith(kind.prefix) && series !== kind.sum);
}

/** The member that a series belongs to: `activation/decoder.0/rms` is of `decoder.0`. */
export function memberOf(kind: CrowdKind, series: string): string {
  const ending = kind.endings.find((one) => one !== "" && series.endsWith(one)) ?? "";
  return series.slice(kind.prefix.length, series.length - ending.length);
}

export function isRanking(kind: CrowdKind, series: string): boolean {
  return series.endsWith(kind.endings[0] ?? "");
}

export function seriesOf(kind: CrowdKind, member: string): string[] {
  return kind.endings.map((ending) => `${kind.prefix}${member}${ending}`);
}

export class Crowd {
  private readonly latest = new Map<string, Latest>();
  private places: string[] = [];
  private hasNewMember = false;

  constructor(readonly kind: CrowdKind) {}

  get chosen(): Chosen {
    return { id: this.kind.id, members: this.places, of: this.latest.size };
  }

  /** Whether nothing is known of a series as new as `step`. */
  isBehind(series: string, step: number): boolean {
    return (this.latest.get(memberOf(this.kind, series))?.step ?? -1) < step;
  }

  shows(series: string): boolean {
    return this.places.includes(memberOf(this.kind, series));
  }

  clear(): void {
    this.latest.clear();
    this.places = [];
    this.hasNewMember = false;
  }

  note(series: string, step: number, value: number): void {
    const member = memberOf(this.kind, series);
    const known = this.latest.get(member);
    const size = isRanking(this.kind, series) ? (Number.isFinite(value) ? Math.abs(value) : Infinity) : 0;
    if (known === undefined) {
      this.latest.set(member, { step, size });
      this.hasNewMember = true;
    } else if (isRanking(this.kind, series) && step >= known.step) {
      known.step = step;
      known.size = size;
    }
  }

  /** Takes the last row of a block; answers whether the block holds a member never seen before. */
  noteAll(columns: Columns): boolean {
    const last = columns.steps.length - 1;
    if (last < 0) return false;
    columns.names.forEach((name, i) => {
      if (crowdKindOf(name) !== this.kind) return;
      this.note(name, columns.steps[last] ?? 0, columns.values[i]?.[last] ?? NaN);
    });
    return this.hasNewMember;
  }

  /** Values at and after `step` are of an older branch: any other replaces them. */
  rollBack(step: number): void {
    for (const latest of this.latest.values()) if (latest.step >= step) latest.step = -1;
  }

  /** Chooses anew who is shown; answers who came and who left. */
  choose(): { came: readonly string[]; left: readonly string[] } {
    const margin = this.hasNewMember ? 1 : MARGIN;
    this.hasNewMember = false;
    const sizeOf = (member: string): number => this.latest.get(member)?.size ?? 0;
    const shown = new Set(this.places);
    const waiting = [...this.latest.keys()].filter((member) => !shown.has(member));
    waiting.sort((a, b) => sizeOf(b) - sizeOf(a) || byName(a, b));
    const came = waiting.splice(0, Math.max(0, CROWD_SHOWN - this.places.length));
    const places = [...this.places, ...came];
    const left: string[] = [];
    for (const newcomer of waiting) {
      const smallest = places.reduce((a, b) => (sizeOf(b) < sizeOf(a) ? b : a));
      if (!(sizeOf(newcomer) > sizeOf(smallest) * margin)) break;
      places[places.indexOf(smallest)] = newcomer;
      left.push(smallest);
      came.push(newcomer);
    }
    this.places = places;
    return { came, left };
  }
}
