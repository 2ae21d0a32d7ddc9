/**
 * What the page follows live: which run, which of its series, how far it has got, and whether it has all before that.
 *
 * Rules of this file:
 * - The server answers each subscription in order; one is in force when nothing is unanswered any more. Only then is
 *   history asked for: what is committed before comes with it, what is committed after comes live.
 * - A cursor counts only while the page has everything before it: a broken load, or a wider wish that was not filled,
 *   makes the next connection begin anew.
 */
import { type Fields, fields, text } from "../lib/decode";

/** A longer list than this is no saving, and the server takes no request of more than a quarter of a MiB. */
const MOST_NAMES = 1000;

export class Following {
  private run: string | null = null;
  /** null: all */
  private series: ReadonlySet<string> | null = null;
  private cursor: string | null = null;
  private isWhole = false;
  private unanswered = 0;
  /** of the newest load: an older one that ends late says nothing */
  private generation = 0;
  private waiting: (() => void)[] = [];

  /** `say` sends a message; false where there is no connection. */
  constructor(private readonly say: (message: Fields) => boolean) {}

  get hasAll(): boolean {
    return this.isWhole;
  }

  /** Follows another run; false where there is no connection to say so. */
  watch(run: string | null): boolean {
    this.run = run;
    this.series = null;
    this.cursor = null;
    this.lose();
    return this.subscribe();
  }

  /** What a new connection begins with. */
  greeting(): Fields {
    this.unanswered = 1;
    if (!this.isWhole || this.cursor === null) {
      this.lose();
      this.cursor = null;
    }
    return this.subscription(this.cursor);
  }

  /** The connection is gone, and with it whatever was asked for on it. */
  closed(): void {
    if (this.waiting.length > 0) this.lose();
    this.unanswered = 0;
  }

  /** Takes the cursor of a message, when it is of the run that is followed. */
  heard(message: Fields): void {
    const cursor = text(message["cursor"]);
    if (cursor !== "" && this.unanswered === 0 && runIn(message) === this.run) this.cursor = cursor;
  }

  /** The server answers a subscription; true where it is the newest, and history must be loaded. */
  answered(message: Fields): boolean {
    this.unanswered -= 1;
    if (this.unanswered > 0 || this.run === null || text(message["run"]) !== this.run) return false;
    const waiting = this.waiting;
    this.waiting = [];
    for (const go of waiting) go();
    return !this.isWhole;
  }

  /**
   * From now on only these series, and of the others the newest values now and then; answers those that were not
   * followed before, once they are. Their history must then be loaded.
   */
  async narrow(names: readonly string[]): Promise<readonly string[]> {
    const before = this.series;
    const isSame = before?.size === names.length && names.every((name) => before.has(name));
    if (isSame || names.length > MOST_NAMES) return [];
    this.series = new Set(names);
    if (!this.subscribe()) this.lose();
    else await new Promise<void>((go) => this.waiting.push(go));
    return before === null ? [] : names.filter((name) => !before.has(name));
  }

  /** What the page has is not all: it must be loaded. Answers the load's number. */
  lose(): number {
    this.isWhole = false;
    this.waiting = [];
    return (this.generation += 1);
  }

  /** Whether no later load has begun. */
  isNewest(load: number): boolean {
    return load === this.generation;
  }

  /** A load is done. */
  loaded(load: number): void {
    if (this.isNewest(load)) this.isWhole = true;
  }

  private subscribe(): boolean {
    if (!this.say(this.subscription(null))) return false;
    this.unanswered += 1;
    return true;
  }

  private subscription(cursor: string | null): Fields {
    return {
      type: "subscribe",
      run: this.run,
      ...(this.series === null ? {} : { series: [...this.series], others: true }),
      ...(cursor === null ? {} : { cursor }),
    };
  }
}

/** The run that a message is about. */
function runIn(message: Fields): string {
  const told = [message, ...["alert", "command", "incident"].map((what) => fields(message[what]))];
  return told.map((one) => text(one["run"])).find((run) => run !== "") ?? "";
}
