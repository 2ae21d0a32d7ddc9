/**
 * Joins HTTP and the live socket to one picture of the server.
 *
 * Rules of this file: subscribe first, when that is in force load, then merge by step and id, so that nothing is missed;
 * a broken connection goes on at its cursor, and everything is loaded again only when the server says so; an answer about
 * a run that is no longer on the screen is thrown away; every failure becomes a state or a sentence.
 */
import { ColumnError, type Fields, columnsOf, fields, text, texts } from "../lib/decode";
import { rollbackOf } from "../lib/guard";
import { incidentOf } from "../lib/incidents";
import {
  type Run,
  type RunEvent,
  type SeriesInfo,
  type Verdict,
  alertOf,
  commandOf,
  eventOf,
  runOf,
  seriesInfoOf,
  stageOf,
} from "../lib/models";
import { mustSurvey } from "../lib/notices";
import { type SpanBlame, spanBlameOf } from "../lib/span";
import type { Action, State } from "../lib/state";
import { Refused, Unreachable, Unreadable } from "./api";
import { Following } from "./following";
import { History, type HistoryParts, pathOf } from "./history";
import { Lists } from "./lists";
import { LiveSocket } from "./socket";

const SILENCE_MS = 15_000;
/** A rollback comes as an event, a resync and often a declaration, one behind the other: the points are loaded once. */
const RELOAD_MS = 60;
/** A load that did not reach the server is tried again after this, as long as the live connection holds. */
const RETRY_MS = 3_000;
const NOT_HERE = "The run that the address names is not here: it was deleted, or belongs to another server.";

export interface SessionParts extends Pick<HistoryParts, "api" | "store" | "nowMs" | "inView" | "columns" | "lastSteps"> {
  readonly socketAddress: URL;
  readonly state: () => State;
  readonly dispatch: (action: Action) => void;
  /** points came by the socket, `isNew`: of series never seen before */
  readonly onPoints: (isNew: boolean) => void;
  /** history was put in place */
  readonly onHistory: () => void;
  readonly onSelected: (run: string | null) => void;
  /** the run that the address names is not here; it was said */
  readonly onMissing: () => void;
  /** the run went back to step `to`, which comes next */
  readonly onRollback: (to: number) => void;
}

export class Session {
  private readonly socket: LiveSocket;
  private readonly history: History;
  private readonly following = new Following((message) => this.socket.say(message));
  private wanted: string | null = null;
  private reloading: number | null = null;
  private reloadsAll = false;
  /** whether the page's list of runs is all there are now */
  private isListed = false;
  private readonly lists: Lists;

  constructor(private readonly parts: SessionParts) {
    this.socket = new LiveSocket(parts.socketAddress, () => this.ticket(), {
      greeting: () => this.following.greeting(),
      onUp: () => this.attend(this.refresh()),
      onDown: () => {
        this.following.closed();
        this.isListed = false;
        parts.dispatch({ type: "link", link: "down" });
      },
      onMessage: (type, message) => this.received(type, message),
      onTokenRefused: () => parts.dispatch({ type: "token-needed" }),
    });
    this.lists = new Lists(parts.api);
    this.history = new History({
      api: parts.api,
      store: parts.store,
      following: this.following,
      isShown: (run) => run === parts.state().selected,
      nowMs: parts.nowMs,
      inView: parts.inView,
      columns: parts.columns,
      lastSteps: parts.lastSteps,
      onHistory: (run) => {
        parts.dispatch({ type: "history", run });
        parts.onHistory();
      },
    });
  }

  /** Starts, with the run that the address named, if any. */
  start(run: string | null): void {
    this.wanted = run;
    this.attend(this.readAccess());
    this.socket.open();
    window.setInterval(() => this.attend(this.checkSilence()), SILENCE_MS);
    window.addEventListener("online", () => this.socket.open());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.socket.open();
    });
  }

  /** A new token was given, with the run that its address named, if any. */
  restart(run: string | null = null): void {
    this.wanted = run ?? this.wanted;
    if (run !== null && Object.hasOwn(this.parts.state().runs, run)) this.select(run);
    else this.settle();
    this.attend(this.readAccess());
    this.socket.open();
  }

  /** What a person chose; what an address named before that is wanted no more. */
  select(run: string | null): void {
    this.wanted = null;
    this.show(run);
  }

  private show(run: string | null): void {
    if (run === this.parts.state().selected) return;
    this.history.unzoom();
    this.parts.store.clear();
    this.parts.dispatch({ type: "select", run });
    this.parts.onSelected(run);
    // With a connection history is loaded when the subscription is in force; without one at once, and again later.
    if (!this.following.watch(run) && run !== null) this.load(run, true);
  }

  /** Loads the steps [from, to] in detail. */
  zoom(from: number, to: number): void {
    const run = this.parts.state().selected;
    if (run !== null) this.attend(this.history.zoom(run, Math.floor(from) - 1, Math.ceil(to) + 1));
  }

  /** The charts have another size: what is too coarse for it is loaded again. */
  resized(): void {
    const run = this.parts.state().selected;
    if (run !== null && this.history.isTooCoarse) this.reload(run, false);
  }

  unzoom(): void {
    this.history.unzoom();
  }

  acknowledge(alert: string): Promise<void> {
    return this.say(alert, "acknowledge", {});
  }

  /** Whether the alert was right; null takes it back. */
  judge(alert: string, verdict: Verdict | null): Promise<void> {
    return this.say(alert, "verdict", { verdict });
  }

  /** Nobody is notified of the alert for so long; 0: from now on again. */
  silence(alert: string, minutes: number): Promise<void> {
    return this.say(alert, "silence", { minutes });
  }

  /** Who moved the total of the run on the screen over the steps [from, to]. */
  async explain(from: number, to: number): Promise<SpanBlame> {
    const path = pathOf(this.parts.state().selected ?? "");
    return spanBlameOf(await this.parts.api.get(`${path}/blame?from=${from}&to=${to}`));
  }

  private async say(alert: string, what: string, body: Fields): Promise<void> {
    const answer = await this.parts.api.post(`api/alerts/${encodeURIComponent(alert)}/${what}`, body);
    this.tellAlert(answer);
  }

  private async ticket(): Promise<string> {
    return text(fields(await this.parts.api.post("api/ticket"))["ticket"]);
  }

  private async readAccess(): Promise<void> {
    const scopes = texts(fields(await this.parts.api.get("api/me"))["scopes"]);
    this.parts.dispatch({ type: "access", scopes });
  }

  private async refresh(): Promise<void> {
    const { dispatch, state, nowMs } = this.parts;
    dispatch({ type: "link", link: "up" });
    // The server may have been away when the page asked first.
    if (state().scopes.length === 0) await this.readAccess();
    const runs = await this.lists.runs(() => state().runs);
    const before = state();
    dispatch({ type: "runs", runs, atMs: nowMs() });
    this.isListed = true;
    this.settle();
    const { selected } = state();
    if (selected === null || !Object.hasOwn(state().runs, selected)) this.selectFirst();
    for (const run of runs) this.survey(before, run);
  }

  /** Shows the run that the address named as soon as all are known; one that is not among them is told. */
  private settle(): void {
    const { wanted, parts } = this;
    if (wanted === null || !this.isListed) return;
    this.wanted = null;
    if (Object.hasOwn(parts.state().runs, wanted)) this.show(wanted);
    else {
      parts.dispatch({ type: "problem", problem: NOT_HERE });
      parts.onMissing();
    }
  }

  /** The run that the address named, else one that is under way, else the newest; what is put away comes last. */
  private selectFirst(): void {
    const { runs, order: all } = this.parts.state();
    const open = all.filter((id) => runs[id]?.archived === false);
    const order = open.length > 0 ? open : all;
    const named = this.wanted !== null && Object.hasOwn(runs, this.wanted) ? this.wanted : null;
    const alive = order.find((id) => runs[id]?.state === "running" || runs[id]?.state === "paused");
    const first = named ?? alive ?? order[0] ?? null;
    if (first !== null) this.show(first);
  }

  /** Loads the run, or what depends on its declaration and its points; until that is done the page lacks something. */
  private load(run: string, isAll: boolean): void {
    const mine = this.following.lose();
    const work = isAll ? this.loadRun(run) : this.loadDeclared(run);
    this.attend(
      work.then(
        () => {
          this.following.loaded(mine);
          this.attend(this.history.zoomAgain(run));
        },
        (reason: unknown) => {
          if (reason instanceof Unreachable) window.setTimeout(() => this.loadAgain(run, mine), RETRY_MS);
          throw reason;
        },
      ),
    );
  }

  private loadAgain(run: string, failed: number): void {
    const { selected, link } = this.parts.state();
    if (run === selected && link === "up" && this.following.isNewest(failed)) this.load(run, true);
  }

  private async loadRun(run: string): Promise<void> {
    const path = pathOf(run);
    const points = this.loadDeclared(run);
    const incidents = this.loadIncidents(run);
    const lists = Promise.all([
      this.lists.older(`${path}/alerts`, alertOf),
      this.lists.all(`${path}/commands`, commandOf),
      this.lists.all(`${path}/events`, eventOf),
    ]);
    const told = lists.then(([alerts, commands, events]) =>
      this.parts.dispatch({ type: "detail", run, detail: { alerts, commands, events } }),
    );
    await Promise.all([told, points, incidents]);
  }

  private async loadIncidents(run: string): Promise<void> {
    const incidents = await this.lists.older(`${pathOf(run)}/incidents`, incidentOf);
    this.parts.dispatch({ type: "incidents", run, incidents });
  }

  /** Incidents are told of the run on the screen only; of the others a rise of what is critical is heard. */
  private survey(before: State, run: Run): void {
    if (mustSurvey(before, this.parts.state(), run)) this.attend(this.loadIncidents(run.id));
  }

  /** Stages, series, and their points. */
  private async loadDeclared(run: string): Promise<void> {
    await this.history.load(run, () => this.declared(run));
    // Older rows were under way for as long as a frame takes; the answers were not faster than that.
    if (run === this.parts.state().selected) this.parts.store.forgetOlder();
  }

  private async declared(run: string): Promise<readonly SeriesInfo[]> {
    const path = pathOf(run);
    const [stages, series] = await Promise.all([
      this.lists.all(`${path}/stages`, stageOf),
      this.lists.all(`${path}/series`, seriesInfoOf),
    ]);
    this.parts.dispatch({ type: "detail", run, detail: { stages: stages.filter((stage) => stage !== null), series } });
    return series;
  }

  private tellAlert(value: unknown): void {
    const alert = alertOf(value);
    this.lists.told(alert.id);
    this.parts.dispatch({ type: "alert", alert });
  }

  private tellIncident(value: unknown): void {
    const incident = incidentOf(value);
    this.lists.told(incident.id);
    this.parts.dispatch({ type: "incident", incident });
  }

  private received(type: string, message: Fields): void {
    const { dispatch, state } = this.parts;
    const run = text(message["run"]);
    const isShown = run === state().selected;
    if (type === "run") this.receivedRun(message["run"]);
    else if (type === "gone") this.receivedGone(run);
    else if (type === "points" && isShown) this.receivedPoints(run, message);
    else if (type === "alert") this.tellAlert(message["alert"]);
    else if (type === "incident") this.tellIncident(message["incident"]);
    else if (type === "command") dispatch({ type: "command", command: commandOf(message["command"]) });
    else if (type === "event") this.receivedEvent(run, eventOf(message["event"]));
    else if (type === "subscribed" && this.following.answered(message)) this.load(run, true);
    else if ((type === "declaration" || type === "resync") && isShown) this.reload(run, type === "resync");
    this.following.heard(message);
  }

  private receivedPoints(run: string, message: Fields): void {
    this.parts.onPoints(this.parts.store.append(columnsOf(message)));
    this.attend(this.history.follow(run));
  }

  /** After a rollback the older branch leaves the screen at once; buckets that reach into it are loaded again. */
  private receivedEvent(run: string, event: RunEvent): void {
    const { dispatch, state, store, onRollback } = this.parts;
    dispatch({ type: "event", run, event });
    if (event.kind !== "rollback" || run !== state().selected) return;
    const { to } = rollbackOf(event.data);
    if (to !== null) {
      store.rollBack(to);
      onRollback(to);
    }
    this.reload(run, false);
  }

  /** What is on the screen stays until the new is there. */
  private reload(run: string, isAll: boolean): void {
    this.following.lose();
    this.reloadsAll ||= isAll;
    this.reloading ??= window.setTimeout(() => {
      const all = this.reloadsAll;
      this.reloading = null;
      this.reloadsAll = false;
      if (run === this.parts.state().selected) this.load(run, all);
    }, RELOAD_MS);
  }

  private receivedRun(value: unknown): void {
    const { dispatch, state, nowMs } = this.parts;
    const run = runOf(value);
    const before = state();
    const known = before.runs[run.id];
    this.lists.told(run.id);
    dispatch({ type: "run", run, atMs: nowMs() });
    // Which one it is that the address names the list says, which is under way.
    if (state().selected === null && (this.wanted === null || this.wanted === run.id)) this.selectFirst();
    this.survey(before, run);
    // Another attempt goes back some steps: what was drawn of the older branch must not stay under the new one.
    if (known !== undefined && known.attempt !== run.attempt && run.id === state().selected) this.reload(run.id, false);
  }

  /** What was on the screen of a deleted run goes with it; another takes its place, where there is one. */
  private receivedGone(run: string): void {
    this.lists.told(run);
    this.parts.dispatch({ type: "gone", run });
    if (run !== this.parts.state().selected) return;
    this.show(null);
    this.selectFirst();
  }

  /** A connection can die without a sign (a laptop that slept): after a silence the server is asked over HTTP. */
  private async checkSilence(): Promise<void> {
    if (this.parts.state().link !== "up" || performance.now() - this.socket.heardAtMs < SILENCE_MS) return;
    try {
      await this.parts.api.get("healthz");
    } catch {
      this.socket.drop();
    }
  }

  /** Waits for work that nobody else waits for, and says what went wrong with it. */
  private attend(work: Promise<void>): void {
    work.catch((reason: unknown) => {
      if (reason instanceof Refused && reason.status === 401) this.parts.dispatch({ type: "token-needed" });
      else if (reason instanceof Refused) this.parts.dispatch({ type: "problem", problem: reason.message });
      else if (reason instanceof Unreadable) this.parts.dispatch({ type: "problem", problem: reason.message });
      else if (reason instanceof ColumnError)
        this.parts.dispatch({ type: "problem", problem: `The server's answer cannot be read: ${reason.message}.` });
      else if (reason instanceof Unreachable || isAbort(reason)) return;
      else throw reason;
    });
  }
}

function isAbort(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === "AbortError";
}
