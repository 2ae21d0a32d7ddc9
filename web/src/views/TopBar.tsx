/** The page's own line: which run, whether the server is there, the bell, the theme, the keys. */
import type { JSX } from "preact";
import type { Run } from "../lib/models";
import { type Bell, type ThemeChoice, usePage } from "./context";
import { HealthLight } from "./HealthLight";
import { EngineEntry } from "./rules/EngineEntry";
import type { Engine } from "./rules/useEngine";

const BELL: Readonly<Record<Bell, string>> = {
  on: "Notifications on: press to turn off",
  off: "Notify me of critical incidents",
  denied: "The browser blocks notifications of this page",
  unsupported: "This browser cannot notify here",
};
const NEXT: Readonly<Record<ThemeChoice, ThemeChoice>> = { auto: "dark", dark: "light", light: "auto" };

interface TopBarProps {
  readonly onRuns: () => void;
  readonly onKeys: () => void;
  readonly engine: Engine;
}

export function TopBar({ onRuns, onKeys, engine }: TopBarProps): JSX.Element {
  const page = usePage();
  const { link, runs, selected } = page.state.value;
  const run = selected === null ? undefined : runs[selected];
  const bell = page.bell.value;
  const theme = page.themeChoice.value;
  return (
    <header class="top">
      <span class="brand">lossguard</span>
      <button type="button" class="button runs-button" onClick={onRuns} aria-label="Choose a run">
        {run !== undefined && <HealthLight health={run.health} />}
        <span class="runs-button-name">{run === undefined ? "Runs" : `${run.project}/${run.name}`}</span>
        <span aria-hidden="true">▾</span>
      </button>
      <span class="top-run" title={run?.id ?? ""}>
        {run !== undefined && whereText(run)}
      </span>
      <span class={`link link-${link}`} data-testid="link" role="status">
        {link === "up" ? "connected" : link === "down" ? "server gone, trying again" : "connecting"}
      </span>
      <EngineEntry engine={engine} />
      <button
        type="button"
        class="button icon"
        aria-pressed={bell === "on"}
        disabled={bell === "denied" || bell === "unsupported"}
        title={BELL[bell]}
        aria-label={BELL[bell]}
        onClick={page.actions.toggleBell}
      >
        <BellIcon isOn={bell === "on"} />
      </button>
      <button
        type="button"
        class="button button-quiet theme-button"
        title="Dark, light, or as the system says"
        onClick={() => page.actions.chooseTheme(NEXT[theme])}
      >
        {theme}
      </button>
      <button type="button" class="button icon" title="Keys" aria-label="Keys" onClick={onKeys}>
        ?
      </button>
    </header>
  );
}

function whereText(run: Run): string {
  const attempt = run.attempt > 0 ? `attempt ${run.attempt}` : "";
  return [`${run.project}/${run.name}`, run.device, attempt].filter((part) => part !== "").join(" · ");
}

function BellIcon({ isOn }: { isOn: boolean }): JSX.Element {
  return (
    <svg class="bell" viewBox="0 0 16 16" aria-hidden="true">
      <path d="M8 1.8a4 4 0 0 0-4 4v3L2.6 11.4h10.8L12 8.8v-3a4 4 0 0 0-4-4z" class={isOn ? "bell-on" : "bell-off"} />
      <path d="M6.4 13.2a1.7 1.7 0 0 0 3.2 0" class="bell-off" />
      {!isOn && <path d="M2 14 14 2" class="bell-off" />}
    </svg>
  );
}
