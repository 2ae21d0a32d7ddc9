/**
 * What the browser shows around the page and remembers for it: title, icon, notifications, theme.
 *
 * Rules of this file: permission to notify is asked only on a click; a browser that cannot do something simply does not.
 */
import type { Health } from "../lib/models";
import type { Notice } from "../lib/notices";

export type Bell = "on" | "off" | "denied" | "unsupported";
export type ThemeChoice = "auto" | "dark" | "light";

const BELL_KEY = "lossguard.bell";
const THEME_KEY = "lossguard.theme";

export class Herald {
  constructor(
    private readonly storage: Storage,
    private readonly open: (run: string) => void,
  ) {}

  bell(): Bell {
    if (!("Notification" in window) || !window.isSecureContext) return "unsupported";
    if (Notification.permission === "denied") return "denied";
    return Notification.permission === "granted" && this.storage.getItem(BELL_KEY) === "on" ? "on" : "off";
  }

  async toggle(): Promise<Bell> {
    if (this.bell() === "on") this.storage.setItem(BELL_KEY, "off");
    else if (this.bell() === "off" && (await Notification.requestPermission()) === "granted")
      this.storage.setItem(BELL_KEY, "on");
    return this.bell();
  }

  tell(notice: Notice): void {
    if (this.bell() !== "on") return;
    const shown = new Notification(notice.title, { body: notice.body, tag: `lossguard-${notice.incident}` });
    shown.onclick = () => {
      window.focus();
      this.open(notice.run);
    };
  }
}

/** The title names the run and counts the critical incidents, so that a tab in the background says it too. */
export function titleOf(critical: number, run: string | null): string {
  const badge = critical > 0 ? `(${critical}!) ` : "";
  return run === null ? `${badge}lossguard` : `${badge}${run} · lossguard`;
}

/** Shape and colour both differ: a circle is fine, a triangle warns, a square with a bar is critical. */
const ICONS: Readonly<Record<Health, string>> = {
  ok: "<circle cx='8' cy='8' r='6' fill='#2e9e5b'/>",
  warning: "<path d='M8 1.5 15 14H1z' fill='#d69500'/>",
  critical:
    "<rect x='1.5' y='1.5' width='13' height='13' rx='2' fill='#d92d3a'/>" +
    "<path d='M8 4v5M8 11v1.6' stroke='#fff' stroke-width='2'/>",
  unknown: "<circle cx='8' cy='8' r='6' fill='#8796a8'/>",
};

export function showInTab(title: string, health: Health): void {
  if (document.title !== title) document.title = title;
  const icon = document.getElementById("favicon");
  const svg = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>${ICONS[health]}</svg>`;
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

/** The browser asks where to, or puts it among its downloads. */
export function saveFile(name: string, content: string): void {
  const address = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name.replaceAll(/[\\/:*?"<>|]/g, "_");
  link.click();
  URL.revokeObjectURL(address);
}
