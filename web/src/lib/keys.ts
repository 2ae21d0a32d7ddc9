/**
 * The keys of the page, and what each stands for.
 *
 * Rules of this file: one table, which the page acts on and the list of keys shows; no single key changes a run: the one
 * that is about a run opens what says what will happen.
 */
export type KeyDeed =
  | "palette"
  | "find"
  | "home"
  | "run"
  | "next"
  | "previous"
  | "incidents"
  | "charts"
  | "control"
  | "follow"
  | "pause"
  | "copy"
  | "keys";

export interface Key {
  /** as it is typed, a space between two; `Space` is the bar */
  readonly keys: string;
  readonly deed: KeyDeed | null;
  readonly what: string;
}

export const KEYS: readonly Key[] = [
  { keys: "Ctrl K", deed: "palette", what: "go to, or do, anything (⌘ K on a Mac)" },
  { keys: "/", deed: "find", what: "find a run" },
  { keys: "h", deed: "home", what: "all runs" },
  { keys: "g r", deed: "run", what: "back to the run" },
  { keys: "j", deed: "next", what: "the next run of the list" },
  { keys: "k", deed: "previous", what: "the run before it" },
  { keys: "g i", deed: "incidents", what: "to the incidents" },
  { keys: "g c", deed: "charts", what: "to the charts" },
  { keys: "g w", deed: "control", what: "to weights and stages" },
  { keys: "f", deed: "follow", what: "follow the newest step again" },
  { keys: "Space", deed: "pause", what: "pause or resume the run: says what will happen; Space again does it" },
  { keys: "y", deed: "copy", what: "copy the address of what is on the screen" },
  { keys: "?", deed: "keys", what: "this list" },
  { keys: "← →", deed: null, what: "look back and forth, with Shift by a page; on a chart with the focus: its cross-hair" },
  { keys: "+ −", deed: null, what: "zoom in and out" },
  { keys: "s", deed: null, what: "smooth all lines: off, light, medium, strong" },
  { keys: "Esc", deed: null, what: "close, leave a field, or go back to live" },
  { keys: "drag, double-click", deed: null, what: "zoom all charts, and back" },
];

/** What was typed so far: a deed, the beginning of one, or nothing. */
export function readKeys(typed: readonly string[]): KeyDeed | "begun" | null {
  const said = typed.map((key) => (key === " " ? "Space" : key)).join(" ");
  const found = KEYS.find(({ keys, deed }) => deed !== null && keys === said);
  if (found?.deed != null) return found.deed;
  return KEYS.some(({ keys, deed }) => deed !== null && !keys.startsWith("Ctrl") && keys.startsWith(`${said} `))
    ? "begun"
    : null;
}
