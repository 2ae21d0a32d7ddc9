/**
 * What leads from one view to another: the address, the list of runs, "back", news.
 *
 * Rules of this file: the route says what the person wants to see, the session what there is; a run that the session
 * chose by itself becomes the route's, and never calls anybody away from another view.
 */
import { Address } from "../io/address";
import { AlertLinks } from "../io/alertLink";
import type { Session } from "../io/session";
import type { TokenBox } from "../io/token";
import { type Range, type StepRange, zoomedTo } from "../lib/fold";
import { NEWEST, type Route } from "../lib/route";
import type { State } from "../lib/state";
import type { Signals } from "./signals";

const AHEAD_STEPS = 400;
/** The detail goes on for so many times the steps that are shown: by then what came live fills the window. */
const AHEAD_TIMES = 1.1;

export interface JourneyParts {
  readonly signals: Signals;
  readonly address: Address;
  readonly box: TokenBox;
  readonly session: () => Session;
  /** the newest step there is; null while there is none */
  readonly lastStep: () => number | null;
  readonly say: (problem: string) => void;
}

export class Journeys {
  private readonly links: AlertLinks;

  constructor(private readonly parts: JourneyParts) {
    this.links = new AlertLinks({
      select: (run) => queueMicrotask(() => this.go({ ...NEWEST, run })),
      show: (alert) => queueMicrotask(() => this.showCard(alert)),
      say: parts.say,
    });
    this.links.take(parts.signals.route.peek());
  }

  go(next: Route): void {
    const { state, route } = this.parts.signals;
    route.value = next;
    if (next.view !== "run" || next.run === null) return;
    if (next.run !== state.peek().selected) {
      if (Object.hasOwn(state.peek().runs, next.run)) this.parts.session().select(next.run);
      else this.parts.session().restart(next.run);
    } else if (next.from !== null && next.to !== null) this.setRange(zoomedTo(next.from, next.to));
  }

  /** The session shows a run: the one that was asked for, with its window, or one that it chose by itself. */
  arrived(run: string | null): void {
    const { route } = this.parts.signals;
    const asked = route.peek();
    if (asked.view !== "run") return;
    const isAsked = asked.run === run;
    route.value = { ...NEWEST, run };
    if (isAsked && asked.from !== null && asked.to !== null) this.setRange(zoomedTo(asked.from, asked.to));
  }

  /** The run that was asked for is not here: the address names what is on the screen instead. */
  missing(): void {
    const { route, state } = this.parts.signals;
    this.links.drop();
    if (route.peek().view === "run") route.value = { ...NEWEST, run: state.peek().selected };
  }

  setRange(next: Range): void {
    const { range, explained } = this.parts.signals;
    range.value = next;
    // What is explained is the range on the screen.
    explained.value = null;
    if (next.kind === "fixed") this.parts.session().zoom(next.from, next.to);
    else if (next.kind === "last") this.zoomToLast();
    else this.parts.session().unzoom();
  }

  /** Those that are shown, and as many ahead. */
  lastSteps(): StepRange | null {
    const range = this.parts.signals.range.peek();
    const last = this.parts.lastStep();
    if (range.kind !== "last" || last === null) return null;
    return { from: Math.max(0, last - range.steps), to: last + Math.max(AHEAD_STEPS, Math.ceil(range.steps * AHEAD_TIMES)) };
  }

  private zoomToLast(): void {
    const window = this.lastSteps();
    if (window !== null) this.parts.session().zoom(window.from, window.to);
  }

  /** To an alert of a run, which may have to be loaded first. */
  lookAt(run: string, alert: string | null): void {
    const to: Route = { ...NEWEST, run, alert };
    this.links.take(to);
    this.go({ ...NEWEST, run });
    this.links.follow(this.parts.signals.state.peek());
  }

  showCard(id: string): void {
    this.parts.signals.shownCard.value = id;
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    requestAnimationFrame(() =>
      document.getElementById(`card-${id}`)?.scrollIntoView({ block: "nearest", behavior }),
    );
  }

  /** The run that the address names. */
  wantedRun(): string | null {
    const asked = this.parts.address.route();
    return asked.view === "run" ? asked.run : null;
  }

  /** Where the page is, with the window on the screen. */
  here(): Route {
    const { route, range } = this.parts.signals;
    const at = route.value;
    const window = range.value.kind === "fixed" ? range.value : null;
    return at.view === "run" ? { ...at, from: window?.from ?? null, to: window?.to ?? null, alert: null } : at;
  }

  link(): string {
    return this.parts.address.link(this.here());
  }

  showAddress(): void {
    this.parts.address.show(this.here());
  }

  follow(state: State): void {
    this.links.follow(state);
  }

  /** "Back", "forward", and an address that is put into this tab. */
  watch(): void {
    const { address, box, session, signals } = this.parts;
    address.watch(() => {
      if (box.takeFromAddress()) session().restart(this.wantedRun());
      const asked = address.route();
      this.links.take(asked);
      this.go(asked);
      this.links.follow(signals.state.peek());
    });
  }
}
