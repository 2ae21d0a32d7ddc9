/**
 * A page for tests: real state and real views, actions that are recorded.
 *
 * Rules of this file: one page at a time, put up before each test and taken away after it.
 */
import { type Signal, signal } from "@preact/signals";
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, vi } from "vitest";
import { RedrawLoop } from "../charts/scheduler";
import { readTheme } from "../charts/theme";
import { NO_PREFS } from "../lib/chartPrefs";
import type { ControlDesk } from "../lib/control";
import type { EvidenceDesk } from "../lib/evidence";
import { HABITS } from "../lib/habits";
import { runOf } from "../lib/models";
import { type Action, INITIAL, type State, reduce } from "../lib/state";
import type { Explained } from "../lib/span";
import { NEWEST, type Route } from "../lib/route";
import { PointStore } from "../lib/store";
import { NOBODY, testDesks } from "./testDesks";
import { type Actions, type Page, PageContext } from "./context";

export const NASTY = "<img src=x onerror=alert(1)>";
export const RUN = runOf({
  id: "r",
  state: "running",
  connected: true,
  total: 9.2,
  controls: ["pause", "resume", "stop", "set_weight"],
  components: [
    { name: "ce", raw: 2.2, weight: 1, scheduled_weight: 1, contribution: 2.2, share: 0.24, bounds: [0, 10] },
    {
      name: "precursor",
      raw: 700,
      weight: 0.01,
      scheduled_weight: 0.01,
      contribution: 7,
      share: 0.76,
      bounds: [0, 0.1],
    },
  ],
});

export let root: HTMLElement;
export let state: Signal<State>;
export const command = vi.fn<Actions["command"]>(() => Promise.resolve(null));
export const acknowledge = vi.fn<Actions["acknowledge"]>(() => Promise.resolve(null));
export const judge = vi.fn<Actions["judge"]>(() => Promise.resolve(null));
export const silence = vi.fn<Actions["silence"]>(() => Promise.resolve(null));
export const copyText = vi.fn<Actions["copyText"]>();
export const save = vi.fn<Actions["save"]>();
/** what the server's side of control answers in this test */
export let control: { -readonly [name in keyof ControlDesk]?: ControlDesk[name] } = {};
/** what the server answers of points around an onset */
export const evidence: { points: EvidenceDesk["points"] } = { points: () => Promise.resolve(NOBODY) };
export const explained = signal<Explained | null>(null);

function page(): Page {
  const nothing = (): undefined => undefined;
  const actions: Actions = {
    go: nothing,
    select: nothing,
    command,
    acknowledge,
    judge,
    silence,
    explain: nothing,
    setRange: nothing,
    setHabits: nothing,
    trySound: nothing,
    say: nothing,
    closeToast: nothing,
    holdToasts: nothing,
    lookAt: nothing,
    copyLink: nothing,
    copyText,
    chooseTheme: nothing,
    giveToken: nothing,
    revealToken: () => null,
    save,
    exportPoints: () => Promise.resolve(null),
    showCard: nothing,
  };
  const theme = signal(readTheme(document.documentElement));
  return {
    state,
    route: signal<Route>(NEWEST),
    store: new PointStore(),
    loop: new RedrawLoop(),
    actions,
    desks: { ...testDesks(control), evidence },
    charts: signal([]),
    overlay: signal({ bands: [], marks: [] }),
    range: signal({ kind: "all" }),
    isGoingOn: signal(false),
    theme,
    themeChoice: signal("auto"),
    bell: signal("asks"),
    habits: signal(HABITS),
    toasts: signal([]),
    cursor: signal(null),
    columns: signal(800),
    prefs: signal(NO_PREFS),
    gaps: signal([]),
    pointsSeen: signal(0),
    pointsAtMs: signal(null),
    nowMs: signal(0),
    wallS: signal(1_000),
    explained,
    shownCard: signal(null),
    trouble: signal(null),
    serverAddress: "http://host",
  };
}

export async function show(view: preact.ComponentChildren): Promise<void> {
  const given = page();
  await act(() => render(<PageContext.Provider value={given}>{view}</PageContext.Provider>, root));
}

export function find(testid: string): HTMLElement | null {
  return root.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
}

export function isDisabled(testid: string): boolean {
  return find(testid)?.hasAttribute("disabled") ?? false;
}

export async function press(testid: string): Promise<void> {
  await act(() => find(testid)?.click());
}

export async function type(testid: string, value: string): Promise<void> {
  await act(() => {
    const field = find(testid);
    if (!(field instanceof HTMLInputElement)) return;
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

export async function dispatch(...actions: Action[]): Promise<void> {
  await act(() => {
    state.value = actions.reduce<State>(reduce, state.value);
  });
}

/** Puts a page up before each test of the file that calls this, and takes it away after it. */
export function useWorld(): void {
  beforeEach(() => {
    root = document.body.appendChild(document.createElement("div"));
    const begun: Action[] = [
      { type: "link", link: "up" },
      { type: "access", scopes: ["control"] },
      { type: "run", run: RUN, atMs: 0 },
      { type: "select", run: "r" },
    ];
    state = signal<State>(begun.reduce(reduce, INITIAL));
    explained.value = null;
    control = {};
    evidence.points = () => Promise.resolve(NOBODY);
    for (const action of [command, acknowledge, judge, silence, save, copyText]) action.mockClear();
  });
  afterEach(() => {
    render(null, root);
    root.remove();
  });
}
