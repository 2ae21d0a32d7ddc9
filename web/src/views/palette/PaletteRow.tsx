/** One thing that the palette offers; one that cannot be done now says why. */
import type { JSX } from "preact";
import type { Errand } from "../../lib/errands";

export interface RowProps {
  readonly errand: Errand;
  readonly index: number;
  readonly isChosen: boolean;
  readonly onPoint: () => void;
  readonly onTake: () => void;
}

export function rowId(index: number): string {
  return `palette-row-${index}`;
}

/** The field keeps the focus; a press on the row must not take it. */
export function PaletteRow({ errand, index, isChosen, onPoint, onTake }: RowProps): JSX.Element {
  const { title, group, refusal } = errand;
  return (
    <li
      id={rowId(index)}
      class="palette-row"
      role="option"
      aria-selected={isChosen}
      aria-disabled={refusal !== null}
      data-testid="palette-row"
      onPointerMove={onPoint}
      onMouseDown={(event) => event.preventDefault()}
      onClick={onTake}
    >
      <span class="palette-title">
        {title}
        {refusal !== null && <span class="palette-refusal">{refusal}</span>}
      </span>
      <span class="quiet palette-group">{group}</span>
    </li>
  );
}
