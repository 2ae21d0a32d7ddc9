/**
 * What the browser shows around the page and remembers for it: title, icon, notifications, theme, habits.
 *
 * Rules of this file: permission to notify is asked only on a click; a browser that cannot do something simply does not.
 */
import { type Habits, habitsOf } from "../lib/habits";
import { type ChartPrefs, prefsOf } from "../lib/chartPrefs";
import type { Health } from "../lib/models";
import type { News } from "../lib/news";

/** What the browser says of notifications: `asks` at the first use. */
export type Bell = "on" | "asks" | "denied" | "unsupported";
export type ThemeChoice = "auto" | "dark" | "light";

const HABITS_KEY = "lossguard.habits";
const THEME_KEY = "lossguard.theme";

export function rememberedHabits(storage: Storage): Habits {
  return habitsOf(storage.getItem(HABITS_KEY));
}

export function rememberHabits(storage: Storage, habits: Habits): void {
  storage.setItem(HABITS_KEY, JSON.stringify(habits));
}

/** Notifications of the browser. */
export class Herald {
  constructor(private readonly open: (news: News) => void) {}

  bell(): Bell {
    if (!("Notification" in window) || !window.isSecureContext) return "unsupported";
    if (Notification.permission === "denied") return "denied";
    return Notification.permission === "granted" ? "on" : "asks";
  }

  /** Asks the person; only a click may lead here. */
  async ask(): Promise<Bell> {
    if (this.bell() === "asks") await Notification.requestPermission();
    return this.bell();
  }

  tell(news: News): void {
    if (this.bell() !== "on") return;
    const shown = notification(news);
    if (shown === null) return;
    shown.onclick = () => {
      window.focus();
      this.open(news);
    };
  }
}

/** Null where a page may not make one itself (Chrome on Android wants a service worker for it). */
function notification(news: News): Notification | null {
  try {
    return new Notification(news.title, { body: news.body, tag: `lossguard-${news.key}` });
  } catch {
    return null;
  }
}

/** The title names the run and counts the critical incidents, so that a tab in the background says it too. */
export function titleOf(critical: number, run: string | null): string {
  const badge = critical > 0 ? `(${critical}!) ` : "";
  return run === null ? `${badge}lossguard` : `${badge}${run} · lossguard`;
}

/** Shape and colour both differ: a circle is fine, a triangle warns, a square with a bar is critical. */
const ICONS: Readonly<Record<Health, string>> = {
  ok: "<circle cx='8' cy='8' r='6' fill='COLOUR'/>",
  warning: "<path d='M8 1.5 15 14H1z' fill='COLOUR'/>",
  critical:
    "<rect x='1.5' y='1.5' width='13' height='13' rx='2' fill='COLOUR'/>" +
    "<path d='M8 4v5M8 11v1.6' stroke='white' stroke-width='2'/>",
  unknown: "<circle cx='8' cy='8' r='6' fill='COLOUR'/>",
};

export function showInTab(title: string, health: Health): void {
  if (document.title !== title) document.title = title;
  const icon = document.getElementById("favicon");
  const colour = getComputedStyle(document.documentElement).getPropertyValue(`--icon-${health}`).trim();
  const svg = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>${ICONS[health].replace("COLOUR", colour)}</svg>`;
  const address = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  if (icon instanceof HTMLLinkElement && icon.href !== address) icon.href = address;
}

export function rememberedTheme(storage: Storage): ThemeChoice {
  const choice = storage.getItem(THEME_KEY);
  return choice === "dark" || choice === "light" ? choice : "auto";
}

/** Remembers the choice and puts the resulting theme on the root element, for the style sheet. */
export function applyTheme(storage: Storage, choice: ThemeChoice, systemIsDark: boolean): void {
  if (choice === "auto") storage.removeItem(THEME_KEY);
  else storage.setItem(THEME_KEY, choice);
  document.documentElement.dataset["theme"] = choice === "auto" ? (systemIsDark ? "dark" : "light") : choice;
}

const CHARTS_KEY = "lossguard.charts";

/** How a person likes charts. */
export function rememberedCharts(storage: Storage): ChartPrefs {
  return prefsOf(storage.getItem(CHARTS_KEY));
}

export function rememberCharts(storage: Storage, prefs: ChartPrefs): void {
  storage.setItem(CHARTS_KEY, JSON.stringify(prefs));
}

/** The browser asks where to, or puts it among its downloads. */
export function saveFile(name: string, content: string | Blob): void {
  const blob = typeof content === "string" ? new Blob([content], { type: "application/json" }) : content;
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name.replaceAll(/[\\/:*?"<>|]/g, "_");
  link.click();
  URL.revokeObjectURL(address);
}

/** False where the browser does not let a page write there: not on a LAN address without https. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
