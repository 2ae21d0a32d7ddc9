/**
 * The roof: builds every part and wires them; the only file that knows both the edges and the views.
 */
import { computed, effect, signal } from "@preact/signals";
import { render } from "preact";
import { chartsOf } from "./charts/catalogue";
import { bandsOf, marksOf } from "./charts/overlay";
import { RedrawLoop } from "./charts/scheduler";
import { readTheme } from "./charts/theme";
import { Address } from "./io/address";
import { AlertLinks } from "./io/alertLink";
import { answerOf } from "./io/answers";
import { Api, Refused } from "./io/api";
import { HttpChannelsDesk } from "./io/channelsDesk";
import { HttpControlDesk } from "./io/controlDesk";
import { troubleOf } from "./io/health";
import { Herald, applyTheme, rememberedTheme, saveFile, showInTab, titleOf } from "./io/browser";
import { HttpPoliciesDesk } from "./io/policiesDesk";
import { HttpRulesDesk } from "./io/rulesDesk";
import { Session } from "./io/session";
import { TokenBox } from "./io/token";
import type { Order } from "./lib/control";
import type { Chosen } from "./lib/crowd";
import { type Range, type StepRange, windowOf, zoomedTo } from "./lib/fold";
import { NEWEST, type Route } from "./lib/route";
import { PointStore } from "./lib/store";
import { noticesBetween, urgentTotal } from "./lib/notices";
import type { Explained } from "./lib/span";
import { type Action, INITIAL, alertsOf, commandsOf, reduce, worstHealth } from "./lib/state";
import { App } from "./views/App";
import { type Actions, type Bell, type Page, PageContext, type ThemeChoice } from "./views/context";
import "./style/tokens.css";
import "./style/layout.css";
import "./style/parts.css";
import "./style/cards.css";
import "./style/incidents.css";
import "./style/desks.css";
import "./style/steering.css";

const CLOCK_MS = 250;
const TEXT_MS = 150;
const HEALTH_MS = 5_000;

const base = new URL(document.baseURI);
base.hash = "";
const box = new TokenBox(sessionStorage);
const state = signal(INITIAL);
const links = new AlertLinks({
  select: (run) => queueMicrotask(() => actions.select(run)),
  show: (alert) => queueMicrotask(() => actions.showCard(alert)),
  say: (problem) => dispatch({ type: "problem", problem }),
});
box.takeFromAddress();
const address = new Address();
const route = signal<Route>(address.route());
links.take(route.value);
const api = new Api(base, () => box.token());
const store = new PointStore();
const loop = new RedrawLoop();
const nowMs = (): number => performance.now();

const range = signal<Range>({ kind: "all" });
const cursor = signal<number | null>(null);
const pointsSeen = signal(0);
const pointsAtMs = signal<number | null>(null);
const clock = signal(nowMs());
/** The server's times are epoch seconds; nothing on the page needs them finer than this. */
const wallS = computed(() => {
  void clock.value;
  return Math.floor(Date.now() / 10_000) * 10;
});
const names = signal<readonly string[]>([]);
const crowds = signal<readonly Chosen[]>([]);
const shownCard = signal<string | null>(null);
const trouble = signal<string | null>(null);
const explained = signal<Explained | null>(null);
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
const themeChoice = signal<ThemeChoice>(rememberedTheme(localStorage));
applyTheme(localStorage, themeChoice.value, systemIsDark.matches);
const theme = signal(readTheme(document.documentElement));

const herald = new Herald(localStorage, (run) => actions.select(run));
const bell = signal<Bell>(herald.bell());

const selectedRun = computed(() =>
  state.value.selected === null ? undefined : state.value.runs[state.value.selected],
);
const componentNames = computed(() =>
  (selectedRun.value?.components ?? []).map((component) => component.name).join("\n"),
);
const series = computed(() => state.value.detail.series);
const charts = computed(() => {
  const known = new Set([...series.value.map((info) => info.name), ...names.value]);
  const components = componentNames.value === "" ? [] : componentNames.value.split("\n");
  return chartsOf([...known], components, series.value, crowds.value);
});
const detail = computed(() => state.value.detail);
const overlay = computed(() => ({
  bands: bandsOf(detail.value.stages, detail.value.events),
  marks: marksOf(alertsOf(detail.value), commandsOf(detail.value), detail.value.events),
}));

function dispatch(action: Action): void {
  const before = state.value;
  state.value = reduce(before, action);
  for (const notice of noticesBetween(before, state.value)) herald.tell(notice);
}

/** Which series there are to draw has changed. */
function tellNames(): void {
  names.value = [...store.buffers].filter(([, buffer]) => buffer.length > 0).map(([name]) => name);
  crowds.value = store.crowds.map((crowd) => crowd.chosen);
}

let isTextAsked = false;
/** Nobody reads a number that changes more often than some times a second; charts follow at every frame. */
function tellPoints(): void {
  if (isTextAsked) return;
  isTextAsked = true;
  window.setTimeout(() => {
    isTextAsked = false;
    pointsSeen.value += 1;
  }, TEXT_MS);
}

/** More steps on the screen than any screen has pixels, several times: a new one moves nothing that can be seen. */
const CROWDED_STEPS = 8000;

function isCrowded(): boolean {
  const shown = windowOf(range.value, store.extent());
  return shown !== null && shown.to - shown.from > CROWDED_STEPS;
}

function isLiveShown(): boolean {
  const last = store.extent()?.[1] ?? 0;
  return range.value.kind !== "fixed" || range.value.to >= last - 1;
}

const session = new Session({
  api,
  socketAddress: Object.assign(new URL("ws/live", base), { protocol: base.protocol === "https:" ? "wss:" : "ws:" }),
  store,
  state: () => state.value,
  dispatch,
  nowMs,
  onPoints: (isNew) => {
    pointsAtMs.value = nowMs();
    if (isNew) tellNames();
    tellPoints();
    if (isLiveShown()) loop.invalidate(isCrowded() ? "idly" : "soon");
  },
  onHistory: () => {
    tellNames();
    tellPoints();
    loop.invalidate("now");
  },
  onRollback: (to) => {
    // A window of steps that are taken back has nothing to show.
    if (range.value.kind === "fixed" && range.value.from >= to) actions.setRange({ kind: "all" });
    tellNames();
    loop.invalidate("now");
  },
  onSelected: (run) => {
    names.value = [];
    crowds.value = [];
    range.value = { kind: "all" };
    explained.value = null;
    pointsAtMs.value = null;
    cursor.value = null;
    arrived(run);
  },
});

/** The session shows a run: the one that was asked for, with its window, or one that it chose by itself. */
function arrived(run: string | null): void {
  const asked = route.peek();
  if (asked.view !== "run") return;
  const isAsked = asked.run === run;
  route.value = { ...NEWEST, run };
  if (isAsked && asked.from !== null && asked.to !== null) actions.setRange(zoomedTo(asked.from, asked.to));
}

/** The run that the address names. */
function wantedRun(): string | null {
  const asked = address.route();
  return asked.view === "run" ? asked.run : null;
}

function go(next: Route): void {
  route.value = next;
  if (next.view !== "run" || next.run === null) return;
  if (next.run !== state.peek().selected) {
    if (Object.hasOwn(state.peek().runs, next.run)) session.select(next.run);
    else session.restart(next.run);
  } else if (next.from !== null && next.to !== null) actions.setRange(zoomedTo(next.from, next.to));
}

/** Null when it went well, else the sentence of what went wrong. */
async function attempt(work: Promise<unknown>): Promise<string | null> {
  try {
    await work;
    return null;
  } catch (reason) {
    if (reason instanceof Refused && reason.hint !== "") return `${reason.message} ${reason.hint}`;
    return reason instanceof Error ? reason.message : String(reason);
  }
}

/** Asks who moved the total over these steps; an answer that nobody waits for any more is thrown away. */
async function explain(steps: StepRange | null): Promise<void> {
  if (steps === null) {
    explained.value = null;
    return;
  }
  const asked: Explained = { kind: "asked", ...steps };
  explained.value = asked;
  const answer = await answerOf(session.explain(steps.from, steps.to));
  if (explained.value !== asked) return;
  explained.value = answer.ok
    ? { kind: "told", ...steps, span: answer.value }
    : { kind: "refused", ...steps, why: answer.fault };
}

const control = new HttpControlDesk({ api, state: () => state.value, dispatch });

async function command(order: Order): Promise<string | null> {
  const given = await control.give(order);
  return given.kind === "taken" ? null : given.why;
}

const actions: Actions = {
  go,
  select: (run) => go({ ...NEWEST, run }),
  command: (kind, args, alert) =>
    command({ run: state.value.selected ?? "", kind, args, ...(alert === undefined ? {} : { alert }) }),
  acknowledge: (alert) => attempt(session.acknowledge(alert)),
  judge: (alert, verdict) => attempt(session.judge(alert, verdict)),
  silence: (alert, minutes) => attempt(session.silence(alert, minutes)),
  explain: (steps) => void explain(steps),
  setRange: (next) => {
    range.value = next;
    // What is explained is the range on the screen.
    explained.value = null;
    if (next.kind === "fixed") session.zoom(next.from, next.to);
    else session.unzoom();
  },
  toggleBell: () => void herald.toggle().then((next) => (bell.value = next)),
  chooseTheme: (choice) => (themeChoice.value = choice),
  giveToken: (token) => {
    box.keep(token);
    session.restart();
  },
  revealToken: () => box.token(),
  save: saveFile,
  dismissProblem: () => dispatch({ type: "problem", problem: null }),
  showCard: (id) => {
    shownCard.value = id;
    requestAnimationFrame(() =>
      document.getElementById(`card-${id}`)?.scrollIntoView({ block: "nearest", behavior: "smooth" }),
    );
  },
};

function dress(): void {
  applyTheme(localStorage, themeChoice.value, systemIsDark.matches);
  theme.value = readTheme(document.documentElement);
}

effect(dress);
effect(() => {
  const at = route.value;
  const window = range.value.kind === "fixed" ? range.value : null;
  const isRun = at.view === "run";
  address.show(isRun ? { ...at, from: window?.from ?? null, to: window?.to ?? null, alert: null } : at);
});
effect(() => links.follow(state.value));
systemIsDark.addEventListener("change", dress);
effect(() => {
  void [range.value, theme.value, overlay.value];
  loop.invalidate("now");
});
effect(() => {
  const run = selectedRun.value;
  showInTab(
    titleOf(urgentTotal(state.value), run === undefined ? null : `${run.project}/${run.name}`),
    worstHealth(state.value),
  );
});
window.setInterval(() => (clock.value = nowMs()), CLOCK_MS);
const askHealth = (): void => void troubleOf(api).then((found) => found === undefined || (trouble.value = found));
askHealth();
window.setInterval(askHealth, HEALTH_MS);

const page: Page = {
  state,
  route,
  store,
  loop,
  actions,
  desks: {
    rules: new HttpRulesDesk(api),
    policies: new HttpPoliciesDesk(api),
    channels: new HttpChannelsDesk(api),
    control,
  },
  charts,
  overlay,
  range,
  theme,
  themeChoice,
  bell,
  cursor,
  pointsSeen,
  pointsAtMs,
  nowMs: clock,
  wallS,
  shownCard,
  trouble,
  explained,
  serverAddress: base.href.replace(/\/$/, ""),
};
const root = document.getElementById("app");
if (root !== null) {
  render(
    <PageContext.Provider value={page}>
      <App />
    </PageContext.Provider>,
    root,
  );
}
session.start(wantedRun());
address.watch(() => {
  if (box.takeFromAddress()) session.restart(wantedRun());
  const asked = address.route();
  links.take(asked);
  go(asked);
  links.follow(state.peek());
});
