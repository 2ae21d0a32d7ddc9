/**
 * All that the page knows, and how each message changes it.
 *
 * Rules of this file: one pure reducer; points are not in here (series.ts holds them, they come too often); an item is
 * replaced by id, so a message that comes twice, or by socket and by HTTP, changes nothing.
 */
import { text } from "./decode";
import { currentBranch, mergedEvents, withEvent } from "./events";
import { duration } from "./format";
import type { Incident } from "./incidents";
import type { Alert, AlertState, Command, Health, Run, RunEvent, SeriesInfo, StageMark } from "./models";
import { fullNameOf } from "./runNames";

/** `connecting` until the first success, then `up` or `down`. */
export type Link = "connecting" | "up" | "down";

export interface Age {
  readonly seconds: number;
  /** the clock of the page, in milliseconds, when the age was that */
  readonly atMs: number;
}

export interface Detail {
  readonly stages: readonly StageMark[];
  readonly series: readonly SeriesInfo[];
  readonly alerts: Readonly<Record<string, Alert>>;
  readonly commands: Readonly<Record<string, Command>>;
  readonly events: readonly RunEvent[];
  readonly isLoaded: boolean;
  /** until then charts show only what came live */
  readonly hasHistory: boolean;
}

export interface State {
  readonly link: Link;
  readonly needsToken: boolean;
  readonly scopes: readonly string[];
  readonly runs: Readonly<Record<string, Run>>;
  /** newest first */
  readonly order: readonly string[];
  readonly runsLoaded: boolean;
  readonly selected: string | null;
  readonly detail: Detail;
  readonly ages: Readonly<Record<string, Age>>;
  /** of the run on the screen, and of others whose critical alerts had them asked for */
  readonly incidents: Readonly<Record<string, Incident>>;
  /** runs whose critical incidents are all in `incidents` */
  readonly surveyed: Readonly<Record<string, true>>;
  /** the last thing that went wrong, in one sentence */
  readonly problem: string | null;
}

export type Action =
  | { readonly type: "link"; readonly link: Link }
  | { readonly type: "access"; readonly scopes: readonly string[] }
  | { readonly type: "token-needed" }
  | { readonly type: "runs"; readonly runs: readonly Run[]; readonly atMs: number }
  | { readonly type: "run"; readonly run: Run; readonly atMs: number }
  /** `isOwn`: this page deletes it itself, and tells so in its own place */
  | { readonly type: "gone"; readonly run: string; readonly isOwn?: true }
  | { readonly type: "select"; readonly run: string | null }
  | { readonly type: "detail"; readonly run: string; readonly detail: Partial<DetailLists> }
  | { readonly type: "history"; readonly run: string }
  | { readonly type: "incidents"; readonly run: string; readonly incidents: readonly Incident[] }
  | { readonly type: "incident"; readonly incident: Incident }
  | { readonly type: "alert"; readonly alert: Alert }
  | { readonly type: "command"; readonly command: Command }
  | { readonly type: "event"; readonly run: string; readonly event: RunEvent }
  | { readonly type: "problem"; readonly problem: string | null };

export interface DetailLists {
  readonly stages: readonly StageMark[];
  readonly series: readonly SeriesInfo[];
  readonly alerts: readonly Alert[];
  readonly commands: readonly Command[];
  readonly events: readonly RunEvent[];
}

const NO_DETAIL: Detail = {
  stages: [],
  series: [],
  alerts: {},
  commands: {},
  events: [],
  isLoaded: false,
  hasHistory: false,
};

export const INITIAL: State = {
  link: "connecting",
  needsToken: false,
  scopes: [],
  runs: {},
  order: [],
  runsLoaded: false,
  selected: null,
  detail: NO_DETAIL,
  ages: {},
  incidents: {},
  surveyed: {},
  problem: null,
};

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case "link":
      return state.link === action.link ? state : { ...state, link: action.link };
    case "access":
      return { ...state, scopes: action.scopes, needsToken: false };
    case "token-needed":
      return { ...state, needsToken: true };
    case "runs":
      return withRuns(state, action.runs, action.atMs);
    case "run":
      return withRun(state, action.run, action.atMs);
    case "gone":
      return Object.hasOwn(state.runs, action.run) ? withoutRun(state, action.run, action.isOwn ?? false) : state;
    case "select":
      return state.selected === action.run ? state : { ...state, selected: action.run, detail: NO_DETAIL };
    case "incidents":
      return {
        ...state,
        incidents: { ...state.incidents, ...byId(action.incidents) },
        surveyed: { ...state.surveyed, [action.run]: true },
      };
    case "incident":
      return { ...state, incidents: { ...state.incidents, [action.incident.id]: action.incident } };
    case "problem":
      return state.problem === action.problem ? state : { ...state, problem: action.problem };
    default:
      return reduceDetail(state, action);
  }
}

type DetailAction = Extract<Action, { type: "detail" | "history" | "alert" | "command" | "event" }>;

/** Messages about one run count only while it is the one on the screen. */
function reduceDetail(state: State, action: DetailAction): State {
  const { detail } = state;
  switch (action.type) {
    case "detail":
      return action.run === state.selected ? { ...state, detail: withLists(detail, action.detail) } : state;
    case "history":
      return action.run === state.selected && !detail.hasHistory
        ? { ...state, detail: { ...detail, hasHistory: true } }
        : state;
    case "alert":
      if (action.alert.run !== state.selected) return state;
      return { ...state, detail: { ...detail, alerts: withAlert(detail.alerts, action.alert) } };
    case "command":
      if (action.command.run !== state.selected || isBehind(action.command, detail.commands[action.command.id]))
        return state;
      return { ...state, detail: { ...detail, commands: { ...detail.commands, [action.command.id]: action.command } } };
    case "event": {
      if (action.run !== state.selected) return state;
      const events = withEvent(detail.events, action.event);
      return events === detail.events ? state : { ...state, detail: { ...detail, events } };
    }
  }
}

/** A message that is silent about verdict and silence takes nothing of them back. */
function withAlert(known: Detail["alerts"], alert: Alert): Detail["alerts"] {
  const before = known[alert.id];
  const said =
    before === undefined || alert.hasSayings
      ? alert
      : { ...alert, verdict: before.verdict, silencedUntilS: before.silencedUntilS };
  return { ...known, [alert.id]: said };
}

/**
 * An answer may arrive after the socket's news of the same command: a shorter history is the older one, and of equal
 * ones that without the effect, which comes long after the last state.
 */
function isBehind(command: Command, known: Command | undefined): boolean {
  if (known === undefined) return false;
  const more = command.history.length - known.history.length;
  return more < 0 || (more === 0 && command.effect === null && known.effect !== null);
}

function withRun(state: State, run: Run, atMs: number): State {
  const isNew = !Object.hasOwn(state.runs, run.id);
  const order = isNew
    ? [...state.order, run.id].sort((a, b) => startOf(state, run, b) - startOf(state, run, a))
    : state.order;
  const ages = run.dataAgeS === null ? state.ages : { ...state.ages, [run.id]: { seconds: run.dataAgeS, atMs } };
  // Where nothing is critical there is no critical incident either.
  const surveyed = isNew && run.critical === 0 ? { ...state.surveyed, [run.id]: true as const } : state.surveyed;
  return { ...state, runs: { ...state.runs, [run.id]: run }, order, ages, surveyed };
}

/** All that there are, in one go: there may be thousands. */
function withRuns(state: State, runs: readonly Run[], atMs: number): State {
  const known = byId(runs);
  const order = Object.values(known).sort((a, b) => (b.startedS ?? 0) - (a.startedS ?? 0));
  // Of a run that is the one that is known nothing newer was heard.
  const aged = order.flatMap((run) =>
    run.dataAgeS === null || state.runs[run.id] === run ? [] : [[run.id, { seconds: run.dataAgeS, atMs }] as const],
  );
  const quiet = order.filter((run) => run.critical === 0).map((run) => [run.id, true] as const);
  return {
    ...state,
    runs: known,
    order: order.map((run) => run.id),
    ages: { ...state.ages, ...Object.fromEntries(aged) },
    surveyed: { ...state.surveyed, ...Object.fromEntries(quiet) },
    runsLoaded: true,
  };
}

function withoutRun(state: State, run: string, isOwn: boolean): State {
  const gone = state.runs[run];
  const problem = gone === undefined || isOwn ? state.problem : `The run ${fullNameOf(gone)} was deleted.`;
  const order = state.order.filter((id) => id !== run);
  const incidents = Object.fromEntries(Object.entries(state.incidents).filter(([, incident]) => incident.run !== run));
  return {
    ...state,
    runs: without(state.runs, run),
    ages: without(state.ages, run),
    surveyed: without(state.surveyed, run),
    incidents,
    order,
    problem,
  };
}

function without<T>(items: Readonly<Record<string, T>>, id: string): Record<string, T> {
  return Object.fromEntries(Object.entries(items).filter(([key]) => key !== id));
}

function startOf(state: State, run: Run, id: string): number {
  return (id === run.id ? run.startedS : state.runs[id]?.startedS) ?? 0;
}

function byId<T extends { readonly id: string }>(items: readonly T[]): Record<string, T> {
  return Object.fromEntries(items.map((item) => [item.id, item]));
}

function withLists(detail: Detail, lists: Partial<DetailLists>): Detail {
  return {
    stages: lists.stages ?? detail.stages,
    series: lists.series ?? detail.series,
    alerts: lists.alerts ? { ...detail.alerts, ...byId(lists.alerts) } : detail.alerts,
    commands: lists.commands
      ? { ...detail.commands, ...byId(lists.commands.filter((c) => !isBehind(c, detail.commands[c.id]))) }
      : detail.commands,
    events: lists.events ? mergedEvents(detail.events, lists.events) : detail.events,
    isLoaded: true,
    hasHistory: detail.hasHistory,
  };
}

// -- what is asked of the state -------------------------------------------------------------------------------------

const ALERT_ORDER: readonly AlertState[] = ["firing", "pending", "acknowledged", "resolved"];

/** Alerts that need a person first, then by severity, then the one that began first: the first bad signal on top. */
export function alertsOf(detail: Detail): Alert[] {
  const rank = (alert: Alert): number => ALERT_ORDER.indexOf(alert.state) * 2 + (alert.severity === "critical" ? 0 : 1);
  const isOld = (alert: Alert): boolean => alert.state === "resolved";
  return Object.values(detail.alerts).sort(
    (a, b) => rank(a) - rank(b) || (isOld(a) ? b.step - a.step : a.step - b.step) || a.id.localeCompare(b.id),
  );
}

export function isOpen(alert: Alert): boolean {
  return alert.state === "firing" || alert.state === "pending";
}

/** How an alert is told that was open when its run ended: nobody can do anything about it any more. */
export const OPEN_AT_END = "open when the run ended";

/** Newest first. */
export function commandsOf(detail: Detail): Command[] {
  return Object.values(detail.commands).sort((a, b) => b.number - a.number);
}

export function isPending(command: Command): boolean {
  return command.state === "queued" || command.state === "sent" || command.state === "received";
}

/** A rule that asks for full detail by itself has not answered its alert: the remedy is still a person's to take. */
function isOfRule(command: Command): boolean {
  return command.actor.startsWith("rule:");
}

/** The newest command of a person or a policy that answers an alert. */
export function answerTo(detail: Detail, alert: string): Command | null {
  return commandsOf(detail).find((command) => command.alert === alert && !isOfRule(command)) ?? null;
}

/** The commands of people and policies that answer any of these alerts, the newest first. */
export function answersTo(detail: Detail, alerts: ReadonlySet<string>): Command[] {
  return commandsOf(detail).filter((command) => command.alert !== null && alerts.has(command.alert) && !isOfRule(command));
}

/** What the rule of an alert did by itself, the newest. */
export function reflexOf(detail: Detail, alert: string): Command | null {
  return commandsOf(detail).find((command) => command.alert === alert && isOfRule(command)) ?? null;
}

export function canControl(state: State): boolean {
  return state.scopes.includes("control") || state.scopes.includes("admin");
}

export function isOver(run: Run): boolean {
  return run.state === "finished" || run.state === "stopped" || run.state === "crashed";
}

/** Why no command can be given to a run now, in one sentence; null when one can. */
export function whyNoControl(state: State, run: Run): string | null {
  if (!canControl(state)) return "View only: this token has no control scope.";
  if (isOver(run)) return `The run is over (${run.state}); it takes no more commands.`;
  if (state.link !== "up") return "The server is gone; nothing can be sent until it is back.";
  if (!run.connected) return "The trainer is not connected; it takes no commands until it is back.";
  return null;
}

/** Why a run cannot be rolled back now, in one sentence; null when it can. */
export function whyNoRollback(state: State, run: Run): string | null {
  const refusal = whyNoControl(state, run);
  if (refusal !== null) return refusal;
  return run.snapshotStep === null ? "No healthy snapshot to go back to yet." : null;
}

/** The step after which the guard paused the run; null when it is not paused, or a person paused it. */
export function pausedByGuard(run: Run, detail: Detail): number | null {
  if (run.state !== "paused") return null;
  const after = currentBranch(detail.events).findLast((event) => isGuardPause(run, event));
  if (after === undefined) return null;
  const held = after.kind === "trip" ? after.step + 1 : after.step;
  const isDecided = commandsOf(detail).some(
    ({ kind, state, step }) => (kind === "pause" || kind === "resume") && state === "applied" && (step ?? -1) >= held,
  );
  return isDecided ? null : held - 1;
}

/** The trainer tells its pause as an error at the step that would come next, and the end of a pause in the same place. */
function isGuardPause(run: Run, event: RunEvent): boolean {
  if (event.kind === "error") return event.data["where"] === "pause" && text(event.data["message"]).startsWith("paused");
  const isBefore = event.step === run.step || event.step + 1 === run.step;
  return event.kind === "trip" && run.guard?.onTrip === "pause" && isBefore;
}

/** Newest first, without those that a person put away; the run on the screen stays. */
export function listedRuns({ runs, order, selected }: State): Run[] {
  return order.flatMap((id) => runs[id] ?? []).filter((run) => !run.archived || run.id === selected);
}

export function worstHealth(state: State): Health {
  const order: readonly Health[] = ["critical", "warning", "ok", "unknown"];
  const found = new Set(listedRuns(state).map((run) => run.health));
  return order.find((health) => found.has(health)) ?? "unknown";
}

/** Seconds since the newest data, as the page's clock goes on; never less than none, whatever clocks say. */
export function ageAt(age: Age | undefined, nowMs: number): number | null {
  return age === undefined ? null : Math.max(0, age.seconds) + Math.max(0, nowMs - age.atMs) / 1000;
}

export interface AgeWord {
  readonly text: string;
  readonly tone: "plain" | "calm" | "warning" | "critical";
}

/** Older data than this, of a run that is under way, is worth a colour. */
const LATE_S = 5;

/** What the screen says of the newest data: its age, or why there is no newer. */
export function ageWord(link: Link, run: Run, ageS: number | null): AgeWord {
  if (link === "down") return { text: "server gone", tone: "critical" };
  if (run.state === "paused" || run.state === "finished" || run.state === "stopped")
    return { text: run.state, tone: "calm" };
  if (run.state === "crashed") return { text: "crashed", tone: "critical" };
  const age = duration(ageS);
  if (run.state === "lost") return { text: `lost, ${age}`, tone: "critical" };
  return { text: age, tone: ageS !== null && ageS > LATE_S ? "warning" : "plain" };
}
