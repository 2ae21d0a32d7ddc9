/** The page's own line: where one is, whether the server is there, the palette, the alarms, the theme, the keys. */
import type { JSX } from "preact";
import type { Run } from "../lib/models";
import { fullNameOf } from "../lib/runNames";
import { type Page, type ThemeChoice, usePage } from "./context";
import { HabitsMenu } from "./HabitsMenu";
import { HealthLight } from "./HealthLight";
import { EngineEntry } from "./rules/EngineEntry";
import type { Engine } from "./rules/useEngine";
import type { Open } from "./useOpen";

const NEXT: Readonly<Record<ThemeChoice, ThemeChoice>> = { auto: "dark", dark: "light", light: "auto" };

interface TopBarProps {
  readonly onOpen: (open: Open) => void;
  readonly engine: Engine;
}

export function TopBar({ onOpen, engine }: TopBarProps): JSX.Element {
  const page = usePage();
  const { link, runs, selected, needsToken } = page.state.value;
  const isRun = page.route.value.view === "run";
  const run = selected === null || !isRun ? undefined : runs[selected];
  return (
    <header class="top">
      <a class="brand" href="#home" aria-label="lossguard: all runs" title="All runs (h)">
        <HomeIcon />
        <span class="brand-name">lossguard</span>
      </a>
      <button type="button" class="button runs-button" onClick={() => onOpen({ kind: "runs" })} aria-label={`Choose a run: ${run === undefined ? "Runs" : fullNameOf(run)}`}>
        {run !== undefined && <HealthLight health={run.health} />}
        <span class="runs-button-name">{run === undefined ? "Runs" : fullNameOf(run)}</span>
        <span aria-hidden="true">▾</span>
      </button>
      <span class="top-run" title={run?.id ?? ""}>
        {placeText(page, run)}
      </span>
      <span class={`link link-${link}`} data-testid="link" role="status">
        {link === "up" ? "connected" : link === "down" ? "server gone, trying again" : "connecting"}
      </span>
      {!needsToken && (
        <button
          type="button"
          class="button palette-button"
          title="Go to, or do, anything (Ctrl K)"
          data-testid="open-palette"
          onClick={() => onOpen({ kind: "palette" })}
        >
          <SeekIcon />
          <span class="palette-button-name">
            Find <kbd>Ctrl K</kbd>
          </span>
        </button>
      )}
      <EngineEntry engine={engine} />
      <HabitsMenu />
      <ThemeButton />
      <button type="button" class="button icon" title="Keys (?)" aria-label="Keys" onClick={() => onOpen({ kind: "keys" })}>
        ?
      </button>
    </header>
  );
}

function ThemeButton(): JSX.Element {
  const { themeChoice, actions } = usePage();
  const theme = themeChoice.value;
  return (
    <button
      type="button"
      class="button button-quiet theme-button"
      title="Dark, light, or as the system says"
      aria-label={`Theme: ${theme}`}
      onClick={() => actions.chooseTheme(NEXT[theme])}
    >
      {theme}
    </button>
  );
}

function placeText(page: Page, run: Run | undefined): string {
  const route = page.route.value;
  if (route.view === "home") return "All runs";
  if (route.view === "compare") return `Compare ${route.runs.length} runs`;
  if (run === undefined) return "";
  const attempt = run.attempt > 0 ? `attempt ${run.attempt}` : "";
  return [fullNameOf(run), run.device, attempt].filter((part) => part !== "").join(" · ");
}

function HomeIcon(): JSX.Element {
  return (
    <svg class="top-icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d="M1.8 8.2 8 2.5l6.2 5.7M3.6 7v6.5h8.8V7" />
    </svg>
  );
}

function SeekIcon(): JSX.Element {
  return (
    <svg class="top-icon" viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="7" cy="7" r="4.4" />
      <path d="m10.4 10.4 3.6 3.6" />
    </svg>
  );
}
