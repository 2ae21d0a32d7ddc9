/**
 * The marks that can be pressed, in a strip above a plot.
 *
 * Rules of this file: real buttons, whose names are text; one a mark, or one for several that are too near to be pressed
 * apart; they are made anew only when something moved.
 */
import { GLYPHS, type Mark, chiefOf, labelOf, markColour } from "./overlay";
import type { Picture } from "./picture";
import type { Theme } from "./theme";

/** Glyphs are 14 px wide: nearer marks share one. */
const SPACING_PX = 13;

export interface Placed {
  readonly x: number;
  readonly marks: readonly Mark[];
}

/** A glyph for a picture of the chart. */
export interface Drawn {
  readonly x: number;
  readonly text: string;
  readonly colour: string;
}

export class Glyphs {
  readonly element = document.createElement("div");
  private shown = "";
  private placed: readonly Placed[] = [];

  constructor(private readonly onMark: (mark: Mark) => void) {
    this.element.className = "chart-glyphs";
  }

  /** `xOf` answers CSS pixels from the plot's left edge, which lies `offset` from the host's. */
  place(picture: Picture, xOf: (step: number) => number, offset: number): void {
    const { from, to } = picture.window;
    const inView = picture.overlay.marks.filter((mark) => (mark.to ?? mark.step) >= from && mark.step <= to);
    this.placed = clustered(inView.map((mark) => ({ mark, x: xOf(Math.max(from, mark.step)) + offset })));
    const key = this.placed
      .map(({ x, marks }) => `${Math.round(x)} ${chiefOf(marks)?.id ?? ""} ${labelOf(marks)}`)
      .join("|");
    if (key === this.shown) return;
    this.shown = key;
    this.element.replaceChildren(...this.placed.map((one) => this.button(one)));
  }

  forget(): void {
    this.shown = "";
  }

  drawn(theme: Theme): Drawn[] {
    return this.placed.flatMap(({ x, marks }): Drawn[] => {
      const chief = chiefOf(marks);
      return chief === undefined ? [] : [{ x, text: GLYPHS[chief.kind], colour: markColour(chief, theme) }];
    });
  }

  private button({ x, marks }: Placed): HTMLButtonElement {
    const button = document.createElement("button");
    const chief = chiefOf(marks);
    const label = labelOf(marks);
    button.type = "button";
    button.className = `glyph glyph-${chief?.kind ?? "command"} glyph-${chief?.severity ?? "none"}`;
    button.textContent = GLYPHS[chief?.kind ?? "command"];
    button.title = label;
    button.ariaLabel = label;
    // The cards hold the same, in order; five charts of marks would be a long way by keyboard.
    button.tabIndex = -1;
    button.style.left = `${x}px`;
    button.addEventListener("click", () => {
      if (chief !== undefined) this.onMark(chief);
    });
    return button;
  }
}

function clustered(placed: readonly { mark: Mark; x: number }[]): Placed[] {
  const clusters: { x: number; marks: Mark[] }[] = [];
  for (const { mark, x } of placed) {
    const near = clusters.at(-1);
    if (near !== undefined && x - near.x < SPACING_PX) near.marks.push(mark);
    else clusters.push({ x, marks: [mark] });
  }
  return clusters;
}
