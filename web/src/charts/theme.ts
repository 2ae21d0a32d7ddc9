/**
 * The colours of the style sheet, for what is drawn on a canvas.
 *
 * Rules of this file: a colour is written in style/tokens.css and nowhere else; whoever changes the theme reads it again.
 */
import { type Look, PALETTE_SIZE } from "../lib/palette";

export interface Theme {
  readonly ink: string;
  readonly muted: string;
  readonly grid: string;
  readonly paper: string;
  readonly band: string;
  readonly bandLine: string;
  readonly contract: string;
  readonly critical: string;
  readonly warning: string;
  readonly command: string;
  readonly series: readonly string[];
  /** colours of a heat map, from low to high */
  readonly heat: readonly string[];
  readonly font: string;
}

const HEAT_STOPS = 5;

export function readTheme(root: Element): Theme {
  const style = getComputedStyle(root);
  const token = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: token("ink"),
    muted: token("ink-muted"),
    grid: token("grid"),
    paper: token("surface"),
    band: token("band"),
    bandLine: token("band-line"),
    contract: token("contract"),
    critical: token("critical"),
    warning: token("warning"),
    command: token("command"),
    series: Array.from({ length: PALETTE_SIZE }, (_, i) => token(`series-${i}`)),
    heat: Array.from({ length: HEAT_STOPS }, (_, i) => token(`heat-${i}`)),
    font: `11px ${token("font")}`,
  };
}

export function colourOf(theme: Theme, look: Look): string {
  return look.colour < 0 ? theme.ink : (theme.series[look.colour] ?? theme.ink);
}
