/**
 * Which charts a run has.
 *
 * Rules of this file: pure; it follows from the names of the series, who of a crowd is shown, and nothing else; a
 * component keeps its colour over all charts.
 */
import { CROWD_KINDS, CROWD_SHOWN, type Chosen, crowdKindOf, seriesOf } from "../lib/crowd";
import { words } from "../lib/format";
import type { SeriesInfo } from "../lib/models";
import { byName } from "../lib/order";
import { INK, type Look, look } from "../lib/palette";
import { labelsOf } from "./labels";
import { MACHINE_PREFIXES, machineCharts } from "./machine";
import { type ChartSpec, type Contract, type Line, PLAIN, lineOf } from "./spec";

interface Kind {
  readonly id: string;
  readonly title: string;
  readonly prefix: string;
  readonly isLog: boolean;
  readonly bounds?: readonly [number, number];
}

const KINDS: readonly Kind[] = [
  { id: "contributions", title: "Contributions to the total", prefix: "contribution/", isLog: false },
  { id: "losses", title: "Raw losses", prefix: "loss/", isLog: true },
  { id: "gradients", title: "Gradient norms", prefix: "grad_norm/", isLog: true },
  {
    id: "grad-shares",
    title: "Share of the gradient at the shared activation",
    prefix: "grad_share/",
    isLog: false,
    bounds: [0, 1],
  },
  { id: "grad-cosines", title: "Cosines between gradients", prefix: "grad_cos/", isLog: false, bounds: [-1, 1] },
  { id: "matrices", title: "Matrix norms", prefix: "matrix/", isLog: true },
  { id: "weights", title: "Weights", prefix: "weight/", isLog: true },
];
const MATRIX = "matrix/";
/** An index within the batch, not a norm. */
const WORST = "/worst";

const TOTAL = "loss/total";
const GRAD_TOTAL = "grad_norm/total";
/** A 0 or 1 a step: where it is 1 there is the mark of a trip. */
const AS_MARKS = "skipped";
const LOSS_SCALE = "loss_scale";
/** Norms of parameters are recorded for a while and around a trip; between two such whiles nothing is known. */
const CROWD_GAP_STEPS = 25;

type Infos = ReadonlyMap<string, SeriesInfo>;

/** The charts of a run, in reading order; a chart without series is left out. */
export function chartsOf(
  names: readonly string[],
  components: readonly string[],
  infos: readonly SeriesInfo[],
  crowds: readonly Chosen[] = [],
): ChartSpec[] {
  const known = new Map(infos.map((info) => [info.name, info]));
  const groups = crowds.find((chosen) => chosen.id === GROUPS);
  const charts = KINDS.map((kind) => {
    const chart = chartOf(kind, names, components, known);
    return kind.id === "gradients" ? ofLargest(chart, groups) : chart;
  });
  const before = charts.findIndex((chart) => chart.id === "matrices");
  const crowded = crowds.filter((chosen) => chosen !== groups).flatMap((chosen) => crowdCharts(chosen, new Set(names)));
  charts.splice(before, 1, ...crowded, ...charts.slice(before, before + 1), worstChart(names));
  charts.push(...otherCharts(names, known), ...machineCharts(names, known));
  return charts.filter((chart) => chart.lines.length > 0);
}

function chartOf(kind: Kind, names: readonly string[], components: readonly string[], known: Infos): ChartSpec {
  const members = names
    .filter((name) => name.startsWith(kind.prefix) && name !== TOTAL && name !== GRAD_TOTAL && !isWorst(name))
    .sort(byOrderOf(components, kind.prefix));
  const total = totalOf(kind, names, members);
  const lines = members.map((name, i) => {
    const label = name.slice(kind.prefix.length);
    return lineOf(name, label.replace("|", " · "), colourOf(label, components, i));
  });
  if (total !== null && names.includes(total)) lines.unshift({ name: total, label: "total", look: INK, isTotal: true });
  const { id, title, isLog, bounds = null } = kind;
  return {
    ...PLAIN,
    id,
    title,
    isLog,
    bounds,
    lines,
    canStack: id === "contributions",
    canHeat: id === "gradients",
    isStepped: id === "weights",
    contracts: lines.flatMap((line) => contractsOf(line, known)),
  };
}

/** The total stands above its parts; where there are none (another tool's log), among the losses. */
function totalOf(kind: Kind, names: readonly string[], members: readonly string[]): string | null {
  if (kind.id === "gradients") return GRAD_TOTAL;
  if (kind.id === "contributions") return members.length > 0 ? TOTAL : null;
  return kind.id === "losses" && !names.some((name) => name.startsWith("contribution/")) ? TOTAL : null;
}

const GROUPS: Chosen["id"] = "groups";

/** Of many groups the largest, in the places that the crowd gives them; many wait until it is known which those are. */
function ofLargest(chart: ChartSpec, chosen: Chosen | undefined): ChartSpec {
  const parts = chart.lines.filter((line) => !line.isTotal);
  const note = chosen === undefined ? "" : noteOf(chosen);
  if (note === "" && parts.length <= CROWD_SHOWN) return chart;
  const known = new Map(parts.map((line) => [line.label, line]));
  const largest = (chosen?.members ?? []).flatMap((member, i) => {
    const line = known.get(member.replace("|", " · "));
    return line === undefined ? [] : [{ ...line, look: look(i) }];
  });
  return { ...chart, note, lines: [...chart.lines.filter((line) => line.isTotal), ...largest] };
}

/** Which part of a crowd is shown; empty when all of it is. */
function noteOf(chosen: Chosen): string {
  const noun = CROWD_KINDS.find((kind) => kind.id === chosen.id)?.noun ?? "";
  const isPart = chosen.members.length < chosen.of;
  return isPart ? `${chosen.members.length} of ${chosen.of} ${noun}, the largest` : "";
}

function isWorst(name: string): boolean {
  return name.startsWith(MATRIX) && name.endsWith(WORST);
}

function worstChart(names: readonly string[]): ChartSpec {
  const lines = names
    .filter(isWorst)
    .sort(byName)
    .map((name, i) => lineOf(name, name.slice(MATRIX.length, -WORST.length), look(i)));
  return {
    ...PLAIN,
    id: "matrices-worst",
    title: "Matrices, worst item of the batch",
    unit: "index",
    lines,
    isStepped: true,
  };
}

const CROWD_TITLES: Readonly<Record<string, string>> = {
  "": "Gradient norms of parameters",
  "/rms": "Activations, root mean square",
  "/absmax": "Activations, largest magnitude",
};

/** One chart an ending, of the same members in the same colours. */
function crowdCharts(chosen: Chosen, names: ReadonlySet<string>): ChartSpec[] {
  const kind = CROWD_KINDS.find((one) => one.id === chosen.id);
  if (kind === undefined) return [];
  const note = noteOf(chosen);
  const labels = labelsOf(chosen.members);
  return kind.endings.map((ending, at) => ({
    ...PLAIN,
    id: `${kind.id}${ending.replace("/", "-")}`,
    title: CROWD_TITLES[ending] ?? kind.noun,
    note,
    isLog: true,
    canHeat: true,
    gapSteps: CROWD_GAP_STEPS,
    lines: chosen.members.flatMap((member, i) => {
      const name = seriesOf(kind, member)[at] ?? "";
      return names.has(name) ? [lineOf(name, labels[i] ?? member, look(i))] : [];
    }),
  }));
}

/** Whatever else a person logs: one chart for what stands before the first slash. */
function otherCharts(names: readonly string[], known: Infos): ChartSpec[] {
  const groups = new Map<string, string[]>();
  for (const name of [...names].sort(byName)) {
    if (KINDS.some((kind) => name.startsWith(kind.prefix)) || crowdKindOf(name) !== undefined) continue;
    if (name === AS_MARKS || MACHINE_PREFIXES.some((prefix) => name.startsWith(prefix))) continue;
    const group = name.includes("/") ? name.slice(0, name.indexOf("/")) : name;
    groups.set(group, [...(groups.get(group) ?? []), name]);
  }
  return [...groups].map(([group, members]) => {
    const lines = members.map((name, i) =>
      lineOf(name, name.startsWith(`${group}/`) ? name.slice(group.length + 1) : name, look(i)),
    );
    const unit = known.get(members[0] ?? "")?.unit ?? "";
    return {
      ...PLAIN,
      id: `other-${group}`,
      title: titleOf(group, unit),
      unit,
      lines,
      // It moves by doubling and halving.
      isLog: group === LOSS_SCALE,
      isStepped: group === LOSS_SCALE,
      contracts: lines.flatMap((line) => contractsOf(line, known)),
    };
  });
}

/** `step_time_s` says its unit in its name, which the head of the chart says already. */
function titleOf(group: string, unit: string): string {
  return words(unit !== "" && group.endsWith(`_${unit}`) ? group.slice(0, -unit.length - 1) : group);
}

function byOrderOf(components: readonly string[], prefix: string): (a: string, b: string) => number {
  const place = (name: string): number => {
    const index = components.indexOf(name.slice(prefix.length));
    return index < 0 ? components.length : index;
  };
  return (a, b) => place(a) - place(b) || byName(a, b);
}

function colourOf(label: string, components: readonly string[], index: number): Look {
  const component = components.indexOf(label);
  return look(component >= 0 ? component : index);
}

function contractsOf(line: Line, known: Infos): Contract[] {
  const info = known.get(line.name);
  return info === undefined || (info.low === null && info.high === null)
    ? []
    : [{ label: line.label, low: info.low, high: info.high }];
}
