/**
 * The one description of a chart, which both renderers read.
 *
 * Rules of this file: pure; which charts there are follows from the names of the series and nothing else; a component
 * keeps its colour over all charts.
 */
import { INK, type Look, look } from "../lib/palette";
import type { Alert, Command, SeriesInfo, StageMark } from "../lib/models";
import { short, step as stepText, words } from "../lib/format";

export interface Line {
  /** the series' name */
  readonly name: string;
  readonly label: string;
  readonly look: Look;
  /** drawn thicker: the sum of the others */
  readonly isTotal: boolean;
}

export interface Contract {
  readonly label: string;
  readonly low: number | null;
  readonly high: number | null;
}

export interface ChartSpec {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  readonly isLog: boolean;
  /** whether its lines are parts of a whole, which can be heaped */
  readonly canStack: boolean;
  /** a step line: the value holds until it changes */
  readonly isStepped: boolean;
  readonly contracts: readonly Contract[];
}

interface Kind {
  readonly id: string;
  readonly title: string;
  readonly prefix: string;
  readonly isLog: boolean;
}

const KINDS: readonly Kind[] = [
  { id: "contributions", title: "Contributions to the total", prefix: "contribution/", isLog: false },
  { id: "losses", title: "Raw losses", prefix: "loss/", isLog: true },
  { id: "gradients", title: "Gradient norms", prefix: "grad_norm/", isLog: true },
  { id: "matrices", title: "Matrix norms", prefix: "matrix/", isLog: true },
  { id: "weights", title: "Weights", prefix: "weight/", isLog: true },
];

const TOTAL = "loss/total";
const GRAD_TOTAL = "grad_norm/total";

/** The charts of a run, in reading order; a chart without series is left out. */
export function chartsOf(
  names: readonly string[],
  components: readonly string[],
  infos: readonly SeriesInfo[],
): ChartSpec[] {
  const known = new Map(infos.map((info) => [info.name, info]));
  const charts = KINDS.map((kind) => chartOf(kind, names, components, known));
  return [...charts, ...otherCharts(names, known)].filter((chart) => chart.lines.length > 0);
}

function chartOf(
  kind: Kind,
  names: readonly string[],
  components: readonly string[],
  known: ReadonlyMap<string, SeriesInfo>,
): ChartSpec {
  const members = names
    .filter((name) => name.startsWith(kind.prefix) && name !== TOTAL && name !== GRAD_TOTAL)
    .sort(byOrderOf(components, kind.prefix));
  const total = kind.id === "contributions" && members.length > 0 ? TOTAL : kind.id === "gradients" ? GRAD_TOTAL : null;
  const lines = members.map((name, i) =>
    lineOf(name, name.slice(kind.prefix.length), colourOf(name.slice(kind.prefix.length), components, i)),
  );
  if (total !== null && names.includes(total)) lines.unshift({ name: total, label: "total", look: INK, isTotal: true });
  const contracts = lines.flatMap((line) => contractsOf(line, known));
  return {
    ...kind,
    unit: "",
    lines,
    canStack: kind.id === "contributions",
    isStepped: kind.id === "weights",
    contracts,
  };
}

/** Whatever else a person logs: one chart for what stands before the first slash. */
function otherCharts(names: readonly string[], known: ReadonlyMap<string, SeriesInfo>): ChartSpec[] {
  const groups = new Map<string, string[]>();
  for (const name of [...names].sort()) {
    if (KINDS.some((kind) => name.startsWith(kind.prefix))) continue;
    const group = name.includes("/") ? name.slice(0, name.indexOf("/")) : name;
    groups.set(group, [...(groups.get(group) ?? []), name]);
  }
  return [...groups].map(([group, members]) => {
    const lines = members.map((name, i) =>
      lineOf(name, name.startsWith(`${group}/`) ? name.slice(group.length + 1) : name, look(i)),
    );
    const unit = known.get(members[0] ?? "")?.unit ?? "";
    const contracts = lines.flatMap((line) => contractsOf(line, known));
    return {
      id: `other-${group}`,
      title: titleOf(group, unit),
      unit,
      lines,
      isLog: false,
      canStack: false,
      isStepped: false,
      contracts,
    };
  });
}

/** `step_time_s` says its unit in its name, which the head of the chart says already. */
function titleOf(group: string, unit: string): string {
  return words(unit !== "" && group.endsWith(`_${unit}`) ? group.slice(0, -unit.length - 1) : group);
}

function lineOf(name: string, label: string, its: Look): Line {
  return { name, label, look: its, isTotal: false };
}

function byOrderOf(components: readonly string[], prefix: string): (a: string, b: string) => number {
  const place = (name: string): number => {
    const index = components.indexOf(name.slice(prefix.length));
    return index < 0 ? components.length : index;
  };
  return (a, b) => place(a) - place(b) || a.localeCompare(b);
}

function colourOf(label: string, components: readonly string[], index: number): Look {
  const component = components.indexOf(label);
  return look(component >= 0 ? component : index);
}

function contractsOf(line: Line, known: ReadonlyMap<string, SeriesInfo>): Contract[] {
  const info = known.get(line.name);
  return info === undefined || (info.low === null && info.high === null)
    ? []
    : [{ label: line.label, low: info.low, high: info.high }];
}

// -- what lies behind and upon the curves ----------------------------------------------------------------------------

export interface Band {
  readonly from: number;
  /** null: to the end */
  readonly to: number | null;
  readonly name: string;
  readonly isOdd: boolean;
}

export interface Mark {
  readonly id: string;
  readonly kind: "alert" | "command";
  readonly severity: "critical" | "warning" | "none";
  readonly step: number;
  readonly text: string;
}

export interface Overlay {
  readonly bands: readonly Band[];
  readonly marks: readonly Mark[];
}

export function bandsOf(stages: readonly StageMark[]): Band[] {
  const sorted = [...stages].sort((a, b) => a.start - b.start);
  return sorted.map((stage, i) => ({
    from: stage.start,
    to: sorted[i + 1]?.start ?? null,
    name: stage.name,
    isOdd: i % 2 === 1,
  }));
}

/** Alerts at the step since which, commands at the step from which they are in force. */
export function marksOf(alerts: readonly Alert[], commands: readonly Command[]): Mark[] {
  const ofAlerts = alerts.map((alert): Mark => ({
    id: alert.id,
    kind: "alert",
    severity: alert.severity,
    step: alert.step,
    text: `${words(alert.rule)} since step ${stepText(alert.step)}: ${alert.message}`,
  }));
  const ofCommands = commands.flatMap((command): Mark[] => {
    if (command.state !== "applied" || command.step === null) return [];
    return [
      {
        id: command.id,
        kind: "command",
        severity: "none",
        step: command.step,
        text: `${commandText(command)}, applied at step ${stepText(command.step)}`,
      },
    ];
  });
  return [...ofAlerts, ...ofCommands].sort((a, b) => a.step - b.step);
}

export function commandText(command: Command): string {
  const component = command.args["component"];
  const name = typeof component === "string" ? `${component} weight` : "";
  if (command.kind === "set_weight") {
    const value = typeof command.args["value"] === "number" ? command.args["value"] : Number(command.args["value"]);
    return command.old === null
      ? `set ${name} to ${short(command.new ?? value)}`
      : `${name} ${short(command.old)} → ${short(command.new)}`;
  }
  if (command.kind === "revert" && command.new !== null)
    return `reverted: ${short(command.old)} → ${short(command.new)}`;
  return words(command.kind);
}
