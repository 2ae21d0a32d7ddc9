/**
 * Redraws: at most once an animation frame, only charts in view, and never more than a quarter of the time.
 *
 * Rules of this file: one loop for all charts; a chart that is not in view is remembered as stale and drawn when it
 * comes into view.
 */

/** Live drawing may take 1 part in 4 of a core: after a redraw of c ms the next one waits 3 c. */
const REST_PER_COST = 3;

/** How soon charts must follow: a person waits; points came; points came that move nothing by a pixel. */
export type Urgency = "now" | "soon" | "idly";

/** Five times a second, for what moves by less than a pixel. */
const IDLE_MS = 200;

interface Client {
  readonly draw: () => void;
  isInView: boolean;
  isStale: boolean;
}

export class RedrawLoop {
  private readonly clients = new Map<Element, Client>();
  private readonly observer: IntersectionObserver;
  private isAsked = false;
  private notBefore = 0;
  private drawnAtMs = 0;

  constructor() {
    this.observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const client = this.clients.get(entry.target);
        if (client !== undefined) client.isInView = entry.isIntersecting;
      }
      this.ask();
    });
  }

  /** Draws `element` by `draw` from now on; answers how to stop. */
  add(element: Element, draw: () => void): () => void {
    this.clients.set(element, { draw, isInView: true, isStale: true });
    this.observer.observe(element);
    this.ask();
    return () => {
      this.observer.unobserve(element);
      this.clients.delete(element);
    };
  }

  /** Something that all charts show has changed. */
  invalidate(urgency: Urgency): void {
    for (const client of this.clients.values()) client.isStale = true;
    if (urgency === "now") this.notBefore = 0;
    if (urgency === "idly") this.notBefore = Math.max(this.notBefore, this.drawnAtMs + IDLE_MS);
    this.ask();
  }

  private ask(): void {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(this.frame);
  }

  private readonly frame = (nowMs: number): void => {
    this.isAsked = false;
    const stale = [...this.clients.values()].filter((client) => client.isStale && client.isInView);
    if (stale.length === 0) return;
    if (nowMs < this.notBefore) {
      this.ask();
      return;
    }
    this.drawnAtMs = nowMs;
    const startMs = performance.now();
    for (const client of stale) {
      client.isStale = false;
      client.draw();
    }
    this.notBefore = nowMs + (performance.now() - startMs) * REST_PER_COST;
  };
}
