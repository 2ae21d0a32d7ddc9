/**
 * Redraws: at most once an animation frame, only charts in view, and never more than a quarter of the time.
 *
 * Rules of this file: one loop for all charts; a chart that is not in view is remembered as stale and drawn when it
 * comes into view. Of most redraws a chart may leave out all but its tip; now and then all is drawn, for what came late.
 */

/** Live drawing may take 1 part in 4 of a core: where redraws take c ms the next one waits 3 c. */
const REST_PER_COST = 3;
/** What redraws take is a mean over some: one of all among many tips must not keep the next tip waiting. */
const COST_WEIGHT = 0.25;
/** More than that was no redraw: the page stood still. */
const MOST_COST_MS = 500;
/** From one redraw to the next: who looks at a curve sees no difference beyond a dozen a second, a battery does. */
const LEAST_MS = 80;
/** Points that came too soon wait for the next ones, which the server sends some times a second, but no longer than this. */
const GRACE_MS = 40;
/** So often all of a chart is drawn whose tips are drawn between: points of older steps may have come. */
const WHOLE_MS = 2_000;

/** How soon charts must follow: a person waits; points came; points came that move nothing by a pixel. */
export type Urgency = "now" | "soon" | "idly";

/** Five times a second, for what moves by less than a pixel. */
const IDLE_MS = 200;

/** Draws; with `isTip` it may leave out what has not changed. Answers whether all of it is drawn. */
export type Draw = (isTip: boolean) => boolean;

interface Client {
  readonly draw: Draw;
  readonly shows: () => readonly string[];
  isInView: boolean;
  isStale: boolean;
  /** only its tip was drawn last */
  isTip: boolean;
  /** something else than its tip has changed */
  isChanged: boolean;
}

export class RedrawLoop {
  private readonly clients = new Map<Element, Client>();
  private readonly observer: IntersectionObserver;
  private isAsked = false;
  private timer = 0;
  private wholeTimer = 0;
  private notBefore = 0;
  private drawnAtMs = 0;
  private wholeAtMs = 0;
  private costMs = 0;

  constructor() {
    this.observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const client = this.clients.get(entry.target);
        if (client !== undefined) client.isInView = entry.isIntersecting;
      }
      this.ask();
    });
  }

  /** Draws `element` by `draw` from now on; answers how to stop. `shows`: the names of the series in it. */
  add(element: Element, draw: Draw, shows: () => readonly string[] = () => []): () => void {
    this.clients.set(element, { draw, shows, isInView: true, isStale: true, isTip: false, isChanged: true });
    this.observer.observe(element);
    this.ask();
    return () => {
      this.observer.unobserve(element);
      this.clients.delete(element);
    };
  }

  /** The series that a person is looking at. */
  inView(): ReadonlySet<string> {
    return new Set([...this.clients.values()].flatMap((client) => (client.isInView ? client.shows() : [])));
  }

  /** Something that all charts show has changed. */
  invalidate(urgency: Urgency): void {
    for (const client of this.clients.values()) {
      client.isStale = true;
      client.isChanged ||= urgency === "now";
    }
    if (urgency === "now") this.hurry(0);
    else if (performance.now() >= this.notBefore) this.hurry(this.notBefore);
    if (urgency === "idly") this.notBefore = Math.max(this.notBefore, this.drawnAtMs + IDLE_MS);
    this.ask();
  }

  private hurry(notBefore: number): void {
    this.notBefore = notBefore;
    if (this.timer === 0) return;
    window.clearTimeout(this.timer);
    this.timer = 0;
    this.isAsked = false;
  }

  private ask(): void {
    if (this.isAsked) return;
    this.isAsked = true;
    const restMs = this.notBefore - performance.now();
    if (restMs <= 0) {
      requestAnimationFrame(this.frame);
      return;
    }
    // Frames that only find out that it is too early cost as much as some redraws.
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      requestAnimationFrame(this.frame);
    }, restMs + GRACE_MS);
  }

  private readonly frame = (nowMs: number): void => {
    this.isAsked = false;
    const stale = this.stale();
    if (stale.length === 0) return;
    this.drawnAtMs = nowMs;
    const isTip = nowMs < this.wholeAtMs + WHOLE_MS;
    if (!isTip) this.wholeAtMs = nowMs;
    const startMs = performance.now();
    // Points may come before it is known what this redraw took.
    this.notBefore = startMs + Math.max(LEAST_MS, this.costMs * (1 + REST_PER_COST));
    for (const client of stale) {
      const isEnough = isTip && !client.isChanged;
      // before it draws: drawing may find out what has to be drawn again
      client.isStale = client.isChanged = false;
      client.isTip = !client.draw(isEnough);
    }
    // The browser paints when we are done; without a GPU that takes as long again as our own drawing.
    window.setTimeout(() => {
      const endMs = performance.now();
      this.costMs += (Math.min(endMs - startMs, MOST_COST_MS) - this.costMs) * COST_WEIGHT;
      // Somebody may wait for something else meanwhile.
      if (this.notBefore > 0) this.notBefore = Math.max(startMs + LEAST_MS, endMs + this.costMs * REST_PER_COST);
      if (this.stale().length > 0) this.ask();
      else this.askForWhole();
    }, 0);
  };

  /** What was drawn last may have been the end. */
  private askForWhole(): void {
    window.clearTimeout(this.wholeTimer);
    if (![...this.clients.values()].some((client) => client.isTip)) return;
    this.wholeTimer = window.setTimeout(
      () => {
        for (const client of this.clients.values()) client.isStale ||= client.isTip;
        this.ask();
      },
      this.wholeAtMs + WHOLE_MS - performance.now(),
    );
  }

  private stale(): Client[] {
    return [...this.clients.values()].filter((client) => client.isStale && client.isInView);
  }
}
