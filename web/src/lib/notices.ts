/**
 * What the browser tells a person who looks elsewhere: an incident that became critical, once.
 *
 * Rules of this file: pure; only what was heard to become critical is news, never what was so when the page came.
 */
import { type Incident, isUrgent, subjectOf, urgentCount } from "./incidents";
import type { Run } from "./models";
import { fullNameOf } from "./runNames";
import { type State, listedRuns } from "./state";

export interface Notice {
  readonly run: string;
  readonly incident: string;
  readonly title: string;
  readonly body: string;
}

/** Of the incidents that opened as critical or became it between two states, in runs whose incidents were known. */
export function noticesBetween(before: State, after: State): Notice[] {
  if (before.incidents === after.incidents) return [];
  return Object.values(after.incidents).flatMap((incident) => {
    const run = after.runs[incident.run];
    const isNews = isUrgent(incident) && !wasUrgent(before, incident) && Object.hasOwn(before.surveyed, incident.run);
    return isNews && run !== undefined ? [noticeOf(run, incident)] : [];
  });
}

function wasUrgent(before: State, incident: Incident): boolean {
  const known = before.incidents[incident.id];
  return known !== undefined && isUrgent(known);
}

function noticeOf(run: Run, incident: Incident): Notice {
  return {
    run: run.id,
    incident: incident.id,
    title: `${fullNameOf(run)}: ${subjectOf(incident)}`,
    body: incident.headline.message,
  };
}

/** Open critical incidents over all runs that are listed. */
export function urgentTotal(state: State): number {
  return listedRuns(state).reduce((sum, run) => sum + urgentCount(state.incidents, run), 0);
}

/**
 * Whether the incidents of a run that is not on the screen must be asked for: critical alerts came, or were there
 * when the page came. Incidents of the run on the screen are told live.
 */
export function mustSurvey(before: State, after: State, run: Run): boolean {
  if (run.id === after.selected || run.critical === 0) return false;
  // Of the many that were over before the page came nobody wants news.
  const isUnknown = run.connected && !Object.hasOwn(before.surveyed, run.id) && before.runs[run.id] === undefined;
  return isUnknown || run.critical > (before.runs[run.id]?.critical ?? run.critical);
}
