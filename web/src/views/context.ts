/**
 * What every view is given: the state to show and the actions to take.
 *
 * Rules of this file: views read signals and call actions, and know no socket, no fetch and no storage; whatever they
 * need of the world stands here.
 */
import type { ReadonlySignal, Signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Overlay } from "../charts/overlay";
import type { RedrawLoop } from "../charts/scheduler";
import type { ChartSpec } from "../charts/spec";
import type { Theme } from "../charts/theme";
import type { ChartPrefs } from "../lib/chartPrefs";
import type { ChannelsDesk } from "../lib/channels";
import type { CompareDesk } from "../lib/compare";
import type { ControlDesk } from "../lib/control";
import type { Fields } from "../lib/decode";
import type { EvidenceDesk } from "../lib/evidence";
import type { Range, StepRange } from "../lib/fold";
import type { Gap } from "../lib/gaps";
import type { HomeDesk } from "../lib/home";
import type { Habits } from "../lib/habits";
import type { Verdict } from "../lib/models";
import type { News } from "../lib/news";
import type { Explained } from "../lib/span";
import type { PoliciesDesk } from "../lib/policies";
import type { RulesDesk } from "../lib/rules";
import type { PointStore } from "../lib/store";
import type { Route } from "../lib/route";
import type { State } from "../lib/state";
import type { Toast } from "../lib/toasts";

export type Bell = "on" | "asks" | "denied" | "unsupported";
export type ThemeChoice = "auto" | "dark" | "light";

export interface Actions {
  readonly go: (route: Route) => void;
  readonly select: (run: string) => void;
  /** null when the server took the command, else its refusal in one sentence */
  readonly command: (kind: string, args: Fields, alert?: string) => Promise<string | null>;
  readonly acknowledge: (alert: string) => Promise<string | null>;
  /** whether the alert was right; null takes a verdict back */
  readonly judge: (alert: string, verdict: Verdict | null) => Promise<string | null>;
  /** nobody is notified of the alert for so long; 0: from now on again */
  readonly silence: (alert: string, minutes: number) => Promise<string | null>;
  /** asks who moved the total over these steps; null: no more */
  readonly explain: (steps: StepRange | null) => void;
  readonly setRange: (range: Range) => void;
  /** changes how the person is told of news; notifications ask the browser */
  readonly setHabits: (change: Partial<Habits>) => void;
  /** sounds as an incident would */
  readonly trySound: () => void;
  /** puts a sentence into the corner of the page; null takes it away */
  readonly say: (text: string | null) => void;
  readonly closeToast: (key: string) => void;
  /** nothing goes by itself while a person points at the news, or is in them */
  readonly holdToasts: (isHeld: boolean) => void;
  /** leads to what the news are about */
  readonly lookAt: (news: News) => void;
  /** puts the address of what is on the screen into the clipboard */
  readonly copyLink: () => void;
  /** puts a text into the clipboard, and says whether that went well */
  readonly copyText: (text: string) => void;
  readonly chooseTheme: (choice: ThemeChoice) => void;
  readonly giveToken: (token: string) => void;
  /** the token of this tab, for a person who asked to see it */
  readonly revealToken: () => string | null;
  /** hands a text or what a Blob holds to the browser as a file */
  readonly save: (name: string, content: string | Blob) => void;
  /** every point of these series, of all steps or of some, as a CSV file; null when it went well, else a sentence */
  readonly exportPoints: (name: string, series: readonly string[], steps: StepRange | null) => Promise<string | null>;
  /** leads to the card of an alert or a command */
  readonly showCard: (id: string) => void;
}

/** What a person asks for and waits for, each in its own place. */
export interface Desks {
  readonly home: HomeDesk;
  readonly rules: RulesDesk;
  readonly policies: PoliciesDesk;
  readonly channels: ChannelsDesk;
  readonly control: ControlDesk;
  readonly compare: CompareDesk;
  readonly evidence: EvidenceDesk;
}

export interface Page {
  readonly state: ReadonlySignal<State>;
  /** which view is on the screen */
  readonly route: ReadonlySignal<Route>;
  readonly store: PointStore;
  readonly loop: RedrawLoop;
  readonly actions: Actions;
  readonly desks: Desks;
  readonly charts: ReadonlySignal<readonly ChartSpec[]>;
  readonly overlay: ReadonlySignal<Overlay>;
  readonly range: ReadonlySignal<Range>;
  /** more steps of the run on the screen will come */
  readonly isGoingOn: ReadonlySignal<boolean>;
  readonly theme: ReadonlySignal<Theme>;
  readonly themeChoice: ReadonlySignal<ThemeChoice>;
  readonly bell: ReadonlySignal<Bell>;
  readonly habits: ReadonlySignal<Habits>;
  readonly toasts: ReadonlySignal<readonly Toast[]>;
  /** the step under the cross-hair of all charts */
  readonly cursor: Signal<number | null>;
  /** how many pixels the steps of every chart take */
  readonly columns: Signal<number>;
  /** how a person likes charts; remembered by the browser */
  readonly prefs: Signal<ChartPrefs>;
  /** steps that never came */
  readonly gaps: ReadonlySignal<readonly Gap[]>;
  /** changes a few times a second while points come: for texts, charts are redrawn by the loop */
  readonly pointsSeen: ReadonlySignal<number>;
  /** the page's clock when points came last, in milliseconds */
  readonly pointsAtMs: ReadonlySignal<number | null>;
  /** the page's clock, ticking a few times a second */
  readonly nowMs: ReadonlySignal<number>;
  /** epoch seconds, coarse */
  readonly wallS: ReadonlySignal<number>;
  /** the card that a mark led to */
  readonly shownCard: ReadonlySignal<string | null>;
  /** what keeps the server from storing data at present, in its own words */
  readonly trouble: ReadonlySignal<string | null>;
  /** who moved the total over the steps that a person asked about */
  readonly explained: ReadonlySignal<Explained | null>;
  /** the server's address as a trainer would be told it */
  readonly serverAddress: string;
}

export const PageContext = createContext<Page | null>(null);

export function usePage(): Page {
  const page = useContext(PageContext);
  if (page === null) throw new Error("a view stands outside of PageContext");
  return page;
}
