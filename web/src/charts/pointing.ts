/**
 * Who points at a step: the mouse, a finger, the arrow keys.
 *
 * Rules of this file: it moves the one cross-hair of all charts and nothing else. A finger that moves up or down scrolls
 * the page (style/charts.css), one that moves sideways points; what it points at stays when it is lifted, because then it
 * can be read.
 */
export interface Pointing {
  /** the part of the host that steps lie in */
  readonly plotArea: () => HTMLElement | null;
  readonly window: () => { readonly from: number; readonly to: number } | null;
  /** the newest step that there is */
  readonly newest: () => number | null;
  /** how many steps one place on the screen stands for */
  readonly stride: () => number;
  readonly cursor: () => number | null;
  readonly onCursor: (step: number | null) => void;
  /** by the keyboard, for who does not see it move */
  readonly onTold: () => void;
}

/** Listens at `host`; answers how to end it. */
export function listenTo(host: HTMLElement, pointing: Pointing): () => void {
  const stepOf = (event: PointerEvent): number | null => {
    const box = pointing.plotArea()?.getBoundingClientRect();
    const window = pointing.window();
    if (box === undefined || window === null || box.width === 0) return null;
    const part = (event.clientX - box.left) / box.width;
    const isIn = part >= 0 && part <= 1 && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!isIn) return null;
    // Behind the newest step there is room for those to come, which nothing is known of.
    const newest = Math.max(window.from, pointing.newest() ?? Infinity);
    return Math.min(newest, window.from + part * (window.to - window.from));
  };
  const moved = (event: PointerEvent): void => {
    const step = stepOf(event);
    if (event.pointerType === "mouse" || step !== null) pointing.onCursor(step);
  };
  const left = (event: PointerEvent): void => {
    if (event.pointerType === "mouse") pointing.onCursor(null);
  };
  const pressed = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.target !== host) return;
    const next = nextStep(event.key, pointing);
    if (next === undefined) return;
    pointing.onCursor(next);
    pointing.onTold();
    event.preventDefault();
    event.stopPropagation();
  };
  host.addEventListener("pointermove", moved);
  host.addEventListener("pointerdown", moved);
  host.addEventListener("pointerleave", left);
  host.addEventListener("keydown", pressed);
  return () => {
    host.removeEventListener("pointermove", moved);
    host.removeEventListener("pointerdown", moved);
    host.removeEventListener("pointerleave", left);
    host.removeEventListener("keydown", pressed);
  };
}

/** Where a key moves the cross-hair; undefined: the key is not ours. */
export function nextStep(key: string, pointing: Pick<Pointing, "window" | "newest" | "stride" | "cursor">): number | null | undefined {
  const window = pointing.window();
  const at = pointing.cursor();
  if (window === null) return undefined;
  if (key === "Escape") return at === null ? undefined : null;
  const first = Math.ceil(window.from);
  const last = Math.max(first, Math.min(Math.floor(window.to), pointing.newest() ?? Infinity));
  if (key === "Home") return first;
  if (key === "End") return last;
  if (key !== "ArrowLeft" && key !== "ArrowRight") return undefined;
  // Without a cross-hair yet it begins at the newest step.
  if (at === null) return last;
  const by = Math.max(1, Math.round(pointing.stride())) * (key === "ArrowLeft" ? -1 : 1);
  return Math.max(first, Math.min(last, Math.round(at) + by));
}
