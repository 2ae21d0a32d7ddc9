/**
 * Which colour and dash a series has.
 *
 * Rules of this file: a component has one colour on every chart; red, amber and green are health and never a series;
 * beyond the palette the dash changes, so two series never look the same.
 */
export const PALETTE_SIZE = 8;
const DASHES: readonly (readonly number[])[] = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

export interface Look {
  /** index of the CSS token --series-N; -1 is the ink itself (the total) */
  readonly colour: number;
  readonly dash: readonly number[];
}

export const INK: Look = { colour: -1, dash: [] };

export function look(index: number): Look {
  return { colour: index % PALETTE_SIZE, dash: DASHES[Math.floor(index / PALETTE_SIZE) % DASHES.length] ?? [] };
}
