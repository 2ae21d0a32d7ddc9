/**
 * Addresses that name an alert, as notifications carry them: `#run=RUN&alert=ALERT`.
 *
 * Rules of this file: the alert may be there long after the address was read (a token is asked for first, a run loads),
 * so a link waits; another link takes its place; a person who has gone on to another run is not called back.
 */
import type { Route } from "../lib/route";
import type { State } from "../lib/state";

/** So long after its run was loaded an alert that did not come is said to be missing. */
const MISSING_MS = 10_000;

interface Link {
  readonly run: string;
  readonly alert: string;
}

export interface LinkParts {
  readonly select: (run: string) => void;
  readonly show: (alert: string) => void;
  readonly say: (problem: string) => void;
}

export class AlertLinks {
  private wanted: Link | null = null;
  private hasChosen = false;
  private timer = 0;

  constructor(private readonly parts: LinkParts) {}

  /** Takes the link that this address is, if it is one. */
  take(route: Route): void {
    if (route.view !== "run" || route.run === null || route.alert === null) return;
    this.drop();
    this.wanted = { run: route.run, alert: route.alert };
  }

  /** Goes on with the link as far as this state allows. */
  follow(state: State): void {
    const { wanted, parts } = this;
    if (wanted === null || !Object.hasOwn(state.runs, wanted.run)) return;
    const isThere = state.selected === wanted.run;
    if (!isThere && !this.hasChosen) parts.select(wanted.run);
    else if (!isThere) this.drop();
    else if (Object.hasOwn(state.detail.alerts, wanted.alert)) {
      this.drop();
      parts.show(wanted.alert);
    }
    if (this.wanted === null) return;
    this.hasChosen = true;
    if (!isThere || !state.detail.isLoaded || this.timer !== 0) return;
    this.timer = window.setTimeout(() => {
      this.drop();
      parts.say("The alert that the address names is not among the alerts of this run.");
    }, MISSING_MS);
  }

  drop(): void {
    window.clearTimeout(this.timer);
    this.timer = 0;
    this.wanted = null;
    this.hasChosen = false;
  }
}
