/**
 * Dragging on the map of the run.
 *
 * Rules of this file: a drag shows at once where it leads, and asks for the window a few times a second: every window is
 * written into the address and asks the server for its detail.
 */
import { type Range, type Window, zoomedTo } from "../../lib/fold";
import { centredAt } from "../../lib/pan";

export interface MapHandlers {
  readonly whole: () => Window | null;
  readonly shown: () => Window | null;
  /** the preview has changed */
  readonly onMoved: () => void;
  readonly onRange: (range: Range) => void;
}

export type Grip = "move" | "from" | "to" | "select";

const EDGE_PX = 8;
const ASK_MS = 200;
/** A press without a drag is no selection. */
const MIN_PX = 4;

/** What a press at `x` takes hold of, where the window lies from `from` to `to`; all in pixels of `width`. */
export function gripAt(x: number, from: number, to: number, width: number): Grip {
  if (to - from >= width - 1) return "select";
  if (Math.abs(x - from) <= EDGE_PX && Math.abs(x - from) <= Math.abs(x - to)) return "from";
  if (Math.abs(x - to) <= EDGE_PX) return "to";
  return "move";
}

/** The window that a drag from step `begun` to step `at` makes of `shown`. */
export function draggedTo(grip: Grip, shown: Window, whole: Window, begun: number, at: number): Range {
  if (grip === "select") return zoomedTo(begun, at);
  if (grip === "from") return zoomedTo(Math.max(whole.from, at), shown.to);
  if (grip === "to") return zoomedTo(shown.from, Math.min(whole.to, at));
  const middle = (shown.from + shown.to) / 2;
  return centredAt(shown, [whole.from, whole.to], middle + at - begun);
}

export function dragOn(element: HTMLElement, handlers: MapHandlers): { preview: () => Window | null; end: () => void } {
  let held: { grip: Grip; shown: Window; begun: number; x: number } | null = null;
  let next: Range | null = null;
  let askedAtMs = 0;
  const stepAt = (event: PointerEvent, whole: Window): number => {
    const box = element.getBoundingClientRect();
    return whole.from + ((event.clientX - box.left) / box.width) * (whole.to - whole.from);
  };
  const begin = (event: PointerEvent): void => {
    const [whole, shown] = [handlers.whole(), handlers.shown()];
    if (whole === null || shown === null || event.button !== 0) return;
    const box = element.getBoundingClientRect();
    const xOf = (step: number): number => ((step - whole.from) / (whole.to - whole.from)) * box.width;
    const x = event.clientX - box.left;
    const begun = stepAt(event, whole);
    const grip = gripAt(x, xOf(shown.from), xOf(shown.to), box.width);
    const isBeside = grip === "move" && (begun < shown.from || begun > shown.to);
    next = isBeside ? centredAt(shown, [whole.from, whole.to], begun) : null;
    held = { grip, begun, x: event.clientX, shown: next?.kind === "fixed" ? next : shown };
    element.setPointerCapture(event.pointerId);
    handlers.onMoved();
  };
  const move = (event: PointerEvent): void => {
    const whole = handlers.whole();
    if (held === null || whole === null || (next === null && Math.abs(event.clientX - held.x) < MIN_PX)) return;
    next = draggedTo(held.grip, held.shown, whole, held.begun, stepAt(event, whole));
    handlers.onMoved();
    if (event.timeStamp - askedAtMs < ASK_MS || held.grip === "select") return;
    askedAtMs = event.timeStamp;
    handlers.onRange(next);
  };
  const end = (): void => {
    const asked = next;
    held = null;
    next = null;
    if (asked !== null) handlers.onRange(asked);
  };
  const listeners = { pointerdown: begin, pointermove: move, pointerup: end, pointercancel: end } as const;
  for (const [name, listener] of Object.entries(listeners)) element.addEventListener(name, listener as EventListener);
  return {
    preview: () => (next?.kind === "fixed" ? next : null),
    end: () => {
      for (const [name, listener] of Object.entries(listeners))
        element.removeEventListener(name, listener as EventListener);
    },
  };
}
