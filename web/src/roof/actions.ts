/**
 * What a person can do, as the views are given it.
 *
 * Rules of this file: each action is one line that hands over to the part that knows how; an answer is null when it went
 * well, else one sentence.
 */
import { answerOf } from "../io/answers";
import { type Api, Refused } from "../io/api";
import { saveFile } from "../io/browser";
import type { HttpControlDesk } from "../io/controlDesk";
import type { Session } from "../io/session";
import type { TokenBox } from "../io/token";
import type { Order } from "../lib/control";
import type { StepRange } from "../lib/fold";
import type { News } from "../lib/news";
import { NEWEST } from "../lib/route";
import type { Explained } from "../lib/span";
import type { Action } from "../lib/state";
import type { Actions } from "../views/context";
import { type Crier, PROBLEM } from "./crier";
import type { Journeys } from "./journeys";
import type { Signals } from "./signals";

export interface ActionParts {
  readonly signals: Signals;
  readonly api: Api;
  readonly session: Session;
  readonly journeys: Journeys;
  readonly crier: Crier;
  readonly control: HttpControlDesk;
  readonly box: TokenBox;
  readonly dispatch: (action: Action) => void;
}

export function actionsOf(parts: ActionParts): Actions {
  const { signals, session, journeys, crier, box, dispatch } = parts;
  return {
    go: (route) => journeys.go(route),
    select: (run) => journeys.go({ ...NEWEST, run }),
    command: (kind, args, alert) => {
      const run = signals.state.value.selected ?? "";
      return command(parts.control, { run, kind, args, ...(alert === undefined ? {} : { alert }) });
    },
    acknowledge: (alert) => attempt(session.acknowledge(alert)),
    judge: (alert, verdict) => attempt(session.judge(alert, verdict)),
    silence: (alert, minutes) => attempt(session.silence(alert, minutes)),
    explain: (steps) => void explain(signals, session, steps),
    setRange: (next) => journeys.setRange(next),
    setHabits: (change) => void crier.setHabits(change),
    trySound: () => crier.trySound(),
    say: (text) => crier.say(text),
    closeToast: (key) => {
      crier.close(key);
      if (key === PROBLEM) dispatch({ type: "problem", problem: null });
    },
    holdToasts: (isHeld) => crier.hold(isHeld),
    lookAt: (news) => lookAt(signals, journeys, news),
    copyLink: () => void crier.copy(journeys.link()),
    copyText: (text) => void crier.copy(text),
    chooseTheme: (choice) => (signals.themeChoice.value = choice),
    giveToken: (token) => {
      box.keep(token);
      session.restart();
    },
    revealToken: () => box.token(),
    save: saveFile,
    exportPoints: (name, series, steps) => attempt(exportPoints(parts, name, series, steps)),
    showCard: (id) => journeys.showCard(id),
  };
}

/** The first alert of an incident has its card; the others stand in it. */
export function lookAt({ state }: Signals, journeys: Journeys, { run, incident }: News): void {
  if (run === null) return;
  const known = incident === null ? undefined : state.peek().incidents[incident];
  journeys.lookAt(run, known?.headline.alert ?? null);
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

async function exportPoints(
  { api, signals }: ActionParts,
  name: string,
  series: readonly string[],
  steps: StepRange | null,
): Promise<void> {
  const query = new URLSearchParams(series.map((one) => ["series", one]));
  if (steps !== null) for (const [end, step] of Object.entries(steps)) query.set(end, String(step));
  const run = encodeURIComponent(signals.state.value.selected ?? "");
  saveFile(name, await api.getFile(`api/runs/${run}/export?${query.toString()}`));
}

async function command(control: HttpControlDesk, order: Order): Promise<string | null> {
  const given = await control.give(order);
  return given.kind === "taken" ? null : given.why;
}

/** Asks who moved the total over these steps; an answer that nobody waits for any more is thrown away. */
async function explain({ explained }: Signals, session: Session, steps: StepRange | null): Promise<void> {
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
