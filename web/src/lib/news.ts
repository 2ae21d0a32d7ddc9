/**
 * What a person is told who looks at the page, or elsewhere: incidents that became critical, runs that broke off, a
 * server that is back.
 *
 * Rules of this file: pure; only what changed between two states is news, never what was so when the page came; a
 * warning is on the page and calls nobody; sound and notification are for what is critical.
 */
import { isUrgent } from "./incidents";
import type { RunState } from "./models";
import { noticesBetween } from "./notices";
import { fullNameOf } from "./runNames";
import type { State } from "./state";

export interface News {
  /** what it is about: newer news of the same takes its place */
  readonly key: string;
  readonly tone: "critical" | "warning" | "calm";
  readonly title: string;
  readonly body: string;
  /** where to look */
  readonly run: string | null;
  readonly incident: string | null;
}

export function newsBetween(before: State, after: State): News[] {
  return [...incidentNews(before, after), ...runNews(before, after), ...linkNews(before, after)];
}

/** Worth a sound, and a notification of the browser. */
export function isLoud(news: News): boolean {
  return news.tone === "critical" && news.incident !== null;
}

/** Whether it is still worth saying: an incident that is over, or a run that is back, calls nobody any more. */
export function isStillSo(news: News, state: State): boolean {
  if (news.incident !== null) {
    const incident = state.incidents[news.incident];
    return incident !== undefined && isUrgent(incident);
  }
  if (news.run === null) return true;
  const run = state.runs[news.run];
  return run !== undefined && ENDINGS[run.state] !== undefined;
}

function incidentNews(before: State, after: State): News[] {
  return noticesBetween(before, after).map(({ run, incident, title, body }) => ({
    key: `incident ${incident}`,
    tone: "critical",
    title,
    body,
    run,
    incident,
  }));
}

const ENDINGS: Readonly<Partial<Record<RunState, readonly [News["tone"], string]>>> = {
  crashed: ["critical", "The training script ended with an error."],
  lost: ["warning", "Nothing has been heard of the trainer for a while."],
  finished: ["calm", "The run is over."],
};

function runNews(before: State, after: State): News[] {
  if (before.runs === after.runs) return [];
  return Object.values(after.runs).flatMap((run) => {
    const known = before.runs[run.id];
    const [tone, body] = ENDINGS[run.state] ?? [];
    if (known === undefined || known.state === run.state || tone === undefined || body === undefined) return [];
    return [{ key: `run ${run.id}`, tone, title: `${fullNameOf(run)}: ${run.state}`, body, run: run.id, incident: null }];
  });
}

/** That it is gone the page says for as long as it is. */
function linkNews(before: State, after: State): News[] {
  if (before.link !== "down" || after.link !== "up") return [];
  const body = "What came meanwhile is being loaded.";
  return [{ key: "link", tone: "calm", title: "The server is back", body, run: null, incident: null }];
}
