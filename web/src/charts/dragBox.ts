/**
 * The sensitive part of a chart that we draw ourselves: drag to zoom, double-click to follow, and the cross-hair.
 *
 * Rules of this file: elements placed by numbers only; the mouse alone drags, because a finger points and scrolls.
 */
import { type Listeners, MIN_DRAG_PX } from "./frame";

interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export class DragBox {
  readonly element = document.createElement("div");
  private readonly hair = document.createElement("div");
  private readonly selected = document.createElement("div");
  private begun: number | null = null;

  constructor(
    private readonly listeners: Pick<Listeners, "onZoom" | "onReset">,
    private readonly window: () => { readonly from: number; readonly to: number } | null,
  ) {
    this.element.className = "drag-box";
    this.hair.className = "drag-hair";
    this.selected.className = "drag-selected";
    this.hair.hidden = true;
    this.selected.hidden = true;
    this.element.append(this.selected, this.hair);
    this.element.addEventListener("pointerdown", (event) => this.begin(event));
    this.element.addEventListener("pointermove", (event) => this.move(event));
    this.element.addEventListener("pointerup", (event) => this.end(event));
    this.element.addEventListener("dblclick", () => listeners.onReset());
  }

  place({ left, top, width, height }: Box): void {
    Object.assign(this.element.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
  }

  point(step: number | null): void {
    const window = this.window();
    const part = step === null || window === null ? -1 : (step - window.from) / (window.to - window.from || 1);
    this.hair.hidden = part < 0 || part > 1;
    this.hair.style.left = `${part * 100}%`;
  }

  private begin(event: PointerEvent): void {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    this.begun = event.offsetX;
    this.element.setPointerCapture(event.pointerId);
  }

  private move(event: PointerEvent): void {
    if (this.begun === null) return;
    const [left, right] = this.ends(event);
    this.selected.hidden = right - left < MIN_DRAG_PX;
    this.selected.style.left = `${left}px`;
    this.selected.style.width = `${right - left}px`;
  }

  private end(event: PointerEvent): void {
    if (this.begun === null) return;
    const [left, right] = this.ends(event);
    const window = this.window();
    this.begun = null;
    this.selected.hidden = true;
    if (right - left < MIN_DRAG_PX || window === null) return;
    const stepOf = (x: number): number => window.from + (x / this.element.clientWidth) * (window.to - window.from);
    this.listeners.onZoom(stepOf(left), stepOf(right));
  }

  private ends(event: PointerEvent): [number, number] {
    const x = event.clientX - this.element.getBoundingClientRect().left;
    const at = Math.max(0, Math.min(this.element.clientWidth, x));
    const begun = this.begun ?? at;
    return [Math.min(begun, at), Math.max(begun, at)];
  }
}
