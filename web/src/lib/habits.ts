/**
 * How a person wants to be told of news, and whether single keys act: all on until they are turned off.
 *
 * Rules of this file: pure; what was stored by an older or a broken page is read as far as it goes.
 */
import { fieldsOrNull } from "./decode";

export interface Habits {
  /** news in a corner of the page */
  readonly toasts: boolean;
  /** the number in the tab's title, the colour and shape of its icon */
  readonly tab: boolean;
  readonly sound: boolean;
  /** notifications of the browser; it must allow them as well */
  readonly browser: boolean;
  /** keys without Ctrl: WCAG 2.1.4 wants that they can be turned off */
  readonly keys: boolean;
}

export const HABITS: Habits = { toasts: true, tab: true, sound: true, browser: true, keys: true };

export function habitsOf(stored: string | null): Habits {
  const f = fieldsOrNull(parsed(stored)) ?? {};
  const off = Object.keys(HABITS).filter((name) => f[name] === false);
  return { ...HABITS, ...Object.fromEntries(off.map((name) => [name, false])) };
}

function parsed(stored: string | null): unknown {
  try {
    return stored === null ? null : JSON.parse(stored);
  } catch {
    return null;
  }
}
