/**
 * Joins HTTP and the live socket to one picture of the server.
 *
 * Rules of this file: subscribe first, then load, then merge by step and id, so that nothing is missed; an answer about
 * a run that is no longer on the screen is thrown away; every failure becomes a state or a sentence.
 */
import { type Fields, columnsOf, fields, integerOrNull, items, text, texts } from "../lib/decode";
import { type Command, alertOf, bucketsOf, commandOf, eventOf, runOf, seriesInfoOf, stageOf } from "../lib/models";
import { type PointStore, type SeriesBuffer, bufferOf } from "../lib/series";
import type { Action, State } from "../lib/state";
import { type Api, Refused, Unreachable } from "./api";
import { LiveSocket } from "./socket";

/** More than the pixels of a wide chart, so that a resized window need not ask again. */
const HISTORY_WIDTH = 1500;
/** Keeps the address of a request far below what servers accept. */
const NAMES_PER_REQUEST = 30;
const SILENCE_MS = 15_000;

export interface SessionParts {
  readonly api: Api;
  readonly socketAddress: URL;
  readonly store: PointStore;
  readonly state: () => State;
  readonly dispatch: (action: Action) => void;
  /** points came by the socket, `isNew`: of series never seen before */
  readonly onPoints: (isNew: boolean) => void;
  /** history was put in place */
  readonly onHistory: () => void;
  readonly onSelected: (run: string | null) => void;
  readonly nowMs: () => number;
}

export class Session {
  private readonly socket: LiveSocket;
  private wanted: string | null = null;
  /** which zoomed window was asked for last */
  private zoomed: AbortController | null = null;

  constructor(private readonly parts: SessionParts) {
    this.socket = new LiveSocket(parts.socketAddress, () => this.ticket(), {
      onUp: () => this.attend(this.refresh()),
      onDown: () => parts.dispatch({ type: "link", link: "down" }),
      onMessage: (type, message) => this.received(type, message),
      onTokenRefused: () => parts.dispatch({ type: "token-needed" }),
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

  /** A new token was given. */
  restart(): void {
    this.attend(this.readAccess());
    this.socket.open();
  }

  select(run: string | null): void {
    if (run === this.parts.state().selected) return;
    this.parts.store.clear();
    this.zoomed?.abort();
    this.parts.dispatch({ type: "select", run });
    this.parts.onSelected(run);
    this.socket.subscribe(run);
    if (run !== null) this.attend(this.loadRun(run));
  }

  /** Loads the steps [from, to] in detail. */
  zoom(from: number, to: number): void {
    this.zoomed?.abort();
    const run = this.parts.state().selected;
    if (run === null) return;
    const controller = new AbortController();
    this.zoomed = controller;
    this.attend(this.loadZoomed(run, Math.floor(from) - 1, Math.ceil(to) + 1, controller.signal));
  }

  unzoom(): void {
    this.zoomed?.abort();
    this.parts.store.setDetail(null);
  }

  async command(kind: string, args: Fields, alert: string | null): Promise<Command | null> {
    const run = this.parts.state().selected;
    if (run === null) return null;
    const body = { kind, args, idempotency_key: newKey(), ...(alert === null ? {} : { alert }) };
    const command = commandOf(await this.parts.api.post(`${pathOf(run)}/commands`, body));
    this.parts.dispatch({ type: "command", command });
    return command;
  }

  async acknowledge(alert: string): Promise<void> {
    const answer = await this.parts.api.post(`api/alerts/${encodeURIComponent(alert)}/acknowledge`);
    this.parts.dispatch({ type: "alert", alert: alertOf(answer) });
  }

  private async ticket(): Promise<string> {
    return text(fields(await this.parts.api.post("api/ticket"))["ticket"]);
  }

  private async readAccess(): Promise<void> {
    const scopes = texts(fields(await this.parts.api.get("api/me"))["scopes"]);
    this.parts.dispatch({ type: "access", scopes });
  }

  private async refresh(): Promise<void> {
    const { api, dispatch, state, nowMs } = this.parts;
    dispatch({ type: "link", link: "up" });
    // The server may have been away when the page asked first.
    if (state().scopes.length === 0) await this.readAccess();
    const runs = items(await api.get("api/runs"), runOf);
    dispatch({ type: "runs", runs, atMs: nowMs() });
    const { selected } = state();
    if (selected !== null && Object.hasOwn(state().runs, selected)) await this.loadRun(selected);
    else this.selectFirst();
  }

  /** The run that the address named, else one that is under way, else the newest. */
  private selectFirst(): void {
    const { runs, order } = this.parts.state();
    const named = this.wanted !== null && Object.hasOwn(runs, this.wanted) ? this.wanted : null;
    const alive = order.find((id) => runs[id]?.state === "running" || runs[id]?.state === "paused");
    const first = named ?? alive ?? order[0] ?? null;
    if (first !== null) this.select(first);
  }

  private async loadRun(run: string): Promise<void> {
    const path = pathOf(run);
    const points = this.loadDeclared(run);
    const lists = Promise.all([
      this.list(`${path}/alerts`, alertOf),
      this.list(`${path}/commands`, commandOf),
      this.list(`${path}/events`, eventOf),
    ]);
    const told = lists.then(([alerts, commands, events]) =>
      this.parts.dispatch({ type: "detail", run, detail: { alerts, commands, events } }),
    );
    await Promise.all([told, points]);
  }

  /** Stages, series, and the points of all series. */
  private async loadDeclared(run: string): Promise<void> {
    const path = pathOf(run);
    const [stages, series] = await Promise.all([
      this.list(`${path}/stages`, stageOf),
      this.list(`${path}/series`, seriesInfoOf),
    ]);
    this.parts.dispatch({ type: "detail", run, detail: { stages: stages.filter((stage) => stage !== null), series } });
    await this.loadPoints(
      run,
      series.map((info) => info.name),
    );
  }

  private async loadPoints(run: string, names: readonly string[]): Promise<void> {
    const answers = await Promise.all(chunks(names).map((some) => this.points(run, some, { width: HISTORY_WIDTH })));
    if (run !== this.parts.state().selected) return;
    for (const { series, lastStep } of answers) {
      for (const [name, buckets] of Object.entries(series)) this.parts.store.load(name, bucketsOf(buckets), lastStep);
    }
    this.parts.dispatch({ type: "history", run });
    this.parts.onHistory();
  }

  private async loadZoomed(run: string, from: number, to: number, signal: AbortSignal): Promise<void> {
    const names = [...this.parts.store.buffers.keys()];
    const answers = await Promise.all(
      chunks(names).map((some) =>
        this.points(run, some, { from: Math.max(0, from), to, width: HISTORY_WIDTH }, signal),
      ),
    );
    if (signal.aborted || run !== this.parts.state().selected) return;
    const buffers = new Map<string, SeriesBuffer>();
    for (const { series } of answers) {
      for (const [name, buckets] of Object.entries(series)) buffers.set(name, bufferOf(bucketsOf(buckets)));
    }
    this.parts.store.setDetail({ from, to, buffers });
    this.parts.onHistory();
  }

  private async points(
    run: string,
    names: readonly string[],
    limits: Readonly<Record<string, number>>,
    signal?: AbortSignal,
  ): Promise<{ series: Fields; lastStep: number }> {
    const query = new URLSearchParams(names.map((name) => ["series", name]));
    for (const [name, value] of Object.entries(limits)) query.set(name, String(value));
    const answer = fields(await this.parts.api.get(`${pathOf(run)}/points?${query.toString()}`, signal));
    return { series: fields(answer["series"]), lastStep: integerOrNull(answer["last_step"]) ?? -1 };
  }

  private async list<T>(path: string, read: (item: unknown) => T): Promise<T[]> {
    return items(await this.parts.api.get(path), read);
  }

  private received(type: string, message: Fields): void {
    const { dispatch, state } = this.parts;
    const run = text(message["run"]);
    const isShown = run === state().selected;
    if (type === "run") this.receivedRun(message["run"]);
    else if (type === "points" && isShown) this.parts.onPoints(this.parts.store.append(columnsOf(message)));
    else if (type === "alert") dispatch({ type: "alert", alert: alertOf(message["alert"]) });
    else if (type === "command") dispatch({ type: "command", command: commandOf(message["command"]) });
    else if (type === "event") dispatch({ type: "event", run, event: eventOf(message["event"]) });
    else if ((type === "declaration" || type === "resync") && isShown) this.attend(this.loadDeclared(run));
  }

  private receivedRun(value: unknown): void {
    const { dispatch, state, store, nowMs } = this.parts;
    const run = runOf(value);
    const known = state().runs[run.id];
    dispatch({ type: "run", run, atMs: nowMs() });
    if (state().selected === null) this.selectFirst();
    // Another attempt goes back some steps: what was drawn of the older branch must not stay under the new one.
    if (known !== undefined && known.attempt !== run.attempt && run.id === state().selected) {
      store.clear();
      this.attend(this.loadDeclared(run.id));
    }
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
      else if (reason instanceof Unreachable || isAbort(reason)) return;
      else throw reason;
    });
  }
}

function isAbort(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === "AbortError";
}

function pathOf(run: string): string {
  return `api/runs/${encodeURIComponent(run)}`;
}

function chunks(names: readonly string[]): string[][] {
  const count = Math.ceil(names.length / NAMES_PER_REQUEST);
  return Array.from({ length: count }, (_, i) => names.slice(i * NAMES_PER_REQUEST, (i + 1) * NAMES_PER_REQUEST));
}

/** Not randomUUID: that exists on secure origins only, and a page on a LAN address is none. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
