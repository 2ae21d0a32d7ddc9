/**
 * Tells a person the news: in the corner of the page, by sound, by the browser, each as long as they want it.
 *
 * Rules of this file: what is news and what is loud lib/news.ts says; here it is only handed to the channels that are on.
 */
import { Herald, copyText, rememberHabits } from "../io/browser";
import type { Chime } from "../io/sound";
import type { Habits } from "../lib/habits";
import { type News, isLoud, newsBetween } from "../lib/news";
import type { State } from "../lib/state";
import { leftAt, withNews, without } from "../lib/toasts";
import type { Signals } from "./signals";

const SAID = "said";
export const PROBLEM = "problem";

export class Crier {
  private isHeld = false;

  constructor(
    private readonly signals: Signals,
    private readonly herald: Herald,
    private readonly chime: Chime,
    private readonly storage: Storage,
  ) {}

  /** What became of the page's state. */
  heard(before: State, after: State): void {
    for (const news of newsBetween(before, after)) this.tell(news);
    if (after.problem !== before.problem) this.tellProblem(after.problem);
    this.tidy();
  }

  /** A sentence of the page's own; null takes it away. */
  say(text: string | null): void {
    if (text === null) this.close(SAID);
    else this.put({ key: SAID, tone: "calm", title: text, body: "", run: null, incident: null });
  }

  close(key: string): void {
    this.signals.toasts.value = without(this.signals.toasts.peek(), key);
  }

  hold(isHeld: boolean): void {
    this.isHeld = isHeld;
  }

  /** What is over goes. */
  tidy(): void {
    const { toasts, nowMs, state } = this.signals;
    toasts.value = leftAt(toasts.peek(), nowMs.peek(), state.peek(), this.isHeld);
  }

  trySound(): void {
    this.chime.play();
  }

  async setHabits(change: Partial<Habits>): Promise<void> {
    const { habits, bell } = this.signals;
    habits.value = { ...habits.peek(), ...change };
    rememberHabits(this.storage, habits.peek());
    if (change.browser === true) bell.value = await this.herald.ask();
  }

  async copy(address: string): Promise<void> {
    const isCopied = await copyText(address);
    this.say(
      isCopied
        ? "The address of what is on the screen is copied. It holds no token: whoever opens it needs one of their own."
        : `This browser does not let the page copy here. The address is ${address}`,
    );
  }

  private tell(news: News): void {
    const { browser, sound, toasts } = this.signals.habits.peek();
    if (toasts) this.put(news);
    if (!isLoud(news)) return;
    if (sound) this.chime.play();
    if (browser) this.herald.tell(news);
  }

  private tellProblem(problem: string | null): void {
    if (problem === null) this.close(PROBLEM);
    else this.put({ key: PROBLEM, tone: "warning", title: problem, body: "", run: null, incident: null });
  }

  private put(news: News): void {
    const { toasts, nowMs, state, route } = this.signals;
    const shown = route.peek().view === "run" ? state.peek().selected : null;
    toasts.value = withNews(toasts.peek(), news, nowMs.peek(), shown);
  }
}
