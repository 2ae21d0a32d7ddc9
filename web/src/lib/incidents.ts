/**
 * Incidents: alerts that belong together, with their first cause on top.
 *
 * Rules of this file: docs/protocol.md section 2 is the definition; an alert whose incident is not known (yet) stands by
 * itself, so that no alert is ever hidden by what has not come.
 */
import { type Fields, fields, integerOrNull, list, numberOrNull, oneOf, text, textOrNull, texts } from "./decode";
import { words } from "./format";
import { type Blame, blameOf } from "./blamed";
import { type Alert, type Remedy, type Run, remedyOf } from "./models";
import { ruleTitle } from "./ruleTitles";

export interface Headline {
  readonly alert: string;
  readonly rule: string;
  readonly series: string;
  readonly component: string | null;
  readonly message: string;
}

/** A series, and since when it is off. */
export interface Sign {
  readonly series: string;
  readonly step: number;
  /** so many steps before the first symptom */
  readonly leadSteps: number;
  /** in spreads; null where it is no matter of spreads (what is set moved, what is declared was left) */
  readonly deviation: number | null;
}

export interface Incident {
  readonly id: string;
  readonly run: string;
  readonly isOpen: boolean;
  readonly severity: "critical" | "warning";
  readonly firstStep: number;
  readonly lastStep: number;
  readonly openedS: number;
  readonly headline: Headline;
  /** in a sentence; empty where nothing can be said */
  readonly cause: string;
  /** the earliest first */
  readonly firstBad: readonly Sign[];
  /** ids */
  readonly alerts: readonly string[];
  readonly blame: Blame | null;
  readonly remedy: Remedy | null;
}

function headlineOf(value: unknown): Headline {
  const f = fields(value);
  return {
    alert: text(f["alert"]),
    rule: text(f["rule"]),
    series: text(f["series"]),
    component: textOrNull(f["component"]),
    message: text(f["message"]),
  };
}

function signOf(value: unknown): Sign {
  const f = fields(value);
  return {
    series: text(f["series"]),
    step: integerOrNull(f["step"]) ?? 0,
    leadSteps: integerOrNull(f["lead_steps"]) ?? 0,
    deviation: numberOrNull(f["deviation"]),
  };
}

export function incidentOf(value: unknown): Incident {
  const f: Fields = fields(value);
  const firstStep = integerOrNull(f["first_step"]) ?? 0;
  return {
    id: text(f["id"]),
    run: text(f["run"]),
    isOpen: f["state"] === "open",
    severity: oneOf(f["severity"], ["critical", "warning"], "warning"),
    firstStep,
    lastStep: integerOrNull(f["last_step"]) ?? firstStep,
    openedS: numberOrNull(f["opened_s"]) ?? 0,
    headline: headlineOf(f["headline"]),
    cause: text(fields(f["cause"])["text"]),
    firstBad: list(f["first_bad"]).map(signOf),
    alerts: texts(f["alerts"]),
    blame: blameOf(f["blame"]),
    remedy: remedyOf(f["remedy"]),
  };
}

/** The incidents of a run: open ones first, the critical above the others; within each the newest first. */
export function incidentsOf(known: Readonly<Record<string, Incident>>, run: string): Incident[] {
  return Object.values(known)
    .filter((incident) => incident.run === run)
    .sort(
      (a, b) =>
        Number(b.isOpen) - Number(a.isOpen) ||
        (a.isOpen ? severityOrder(a) - severityOrder(b) : 0) ||
        b.openedS - a.openedS ||
        a.id.localeCompare(b.id),
    );
}

function severityOrder({ severity }: Incident): number {
  return severity === "critical" ? 0 : 1;
}

export interface Grouped {
  readonly incidents: readonly { readonly incident: Incident; readonly alerts: readonly Alert[] }[];
  /** alerts without an incident */
  readonly others: readonly Alert[];
}

/** Each alert in its incident, in the order of `alerts`. */
export function grouped(incidents: readonly Incident[], alerts: readonly Alert[]): Grouped {
  // Of a long incident only the first alerts are named; the others name it.
  const home = new Map(incidents.flatMap((incident) => incident.alerts.map((id) => [id, incident.id] as const)));
  const known = new Set(incidents.map((incident) => incident.id));
  const homeOf = (alert: Alert): string | null => {
    const named = alert.incident ?? home.get(alert.id) ?? null;
    return named !== null && known.has(named) ? named : null;
  };
  return {
    incidents: incidents.map((incident) => ({
      incident,
      alerts: alerts.filter((alert) => homeOf(alert) === incident.id),
    })),
    others: alerts.filter((alert) => homeOf(alert) === null),
  };
}

/** How many incidents of a run a person should look at now. A critical alert counts as one whose incident is not known. */
export function urgentCount(known: Readonly<Record<string, Incident>>, run: Run): number {
  if (run.critical === 0) return 0;
  return Math.max(1, incidentsOf(known, run.id).filter(isUrgent).length);
}

export function isUrgent(incident: Incident): boolean {
  return incident.isOpen && incident.severity === "critical";
}

/** What it is about, in few words: "look ahead, precursor". */
export function subjectOf({ headline }: Incident): string {
  return headline.component === null ? words(headline.rule) : `${words(headline.rule)}, ${headline.component}`;
}

/** What it is about, as a headline: "Contribution out of proportion: precursor". */
export function titleOf({ headline }: Incident): string {
  const title = ruleTitle(headline.rule);
  return headline.component === null ? title : `${title}: ${headline.component}`;
}

/** The step of the first symptom, against which leads are told; null where nothing is known of the order. */
export function symptomStep({ firstBad: [first] }: Incident): number | null {
  return first === undefined ? null : first.step + first.leadSteps;
}

/** "12 steps before", "at the same step", "3 steps after". */
export function leadText({ leadSteps }: Sign): string {
  if (leadSteps === 0) return "at the same step";
  const steps = Math.abs(leadSteps);
  return `${steps} ${steps === 1 ? "step" : "steps"} ${leadSteps > 0 ? "before" : "after"}`;
}

/** The alert that the incident's remedy is of: a command that answers it names it. */
export function alertOfRemedy(incident: Incident, alerts: readonly Alert[]): string {
  const { remedy, headline } = incident;
  const isIts = (alert: Alert): boolean => remedy !== null && isSameRemedy(alert.remedy, remedy);
  const own = alerts.filter(isIts);
  return (own.find((alert) => alert.id === headline.alert) ?? own[0])?.id ?? headline.alert;
}

export function isSameRemedy(a: Remedy | null, b: Remedy | null): boolean {
  if (a === null || b === null) return false;
  return a.kind === b.kind && isSameArgs(a.args, b.args);
}

export function isSameArgs(a: Fields, b: Fields): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.is(a[name], b[name]));
}
