/**
 * The charts of the machine: memory, utilisation, power, temperature.
 *
 * Rules of this file: one chart a unit, because one axis cannot carry two; the unit is the server's word, so a series
 * that it has not named yet waits.
 */
import { words } from "../lib/format";
import type { SeriesInfo } from "../lib/models";
import { byName } from "../lib/order";
import { look } from "../lib/palette";
import { type ChartSpec, PLAIN, lineOf } from "./spec";

export const MACHINE_PREFIXES: readonly string[] = ["memory/", "system/"];

interface Unit {
  readonly id: string;
  readonly title: string;
  /** how a series' name says the unit at its end */
  readonly ending: string;
  readonly bounds?: readonly [number, number];
}

const UNITS: Readonly<Record<string, Unit>> = {
  GiB: { id: "memory", title: "Memory", ending: "_gib" },
  "%": { id: "utilisation", title: "Utilisation", ending: "_percent", bounds: [0, 100] },
  W: { id: "power", title: "Power", ending: "_w" },
  "°C": { id: "temperature", title: "Temperature", ending: "_celsius" },
  s: { id: "system-time", title: "System times", ending: "_s" },
};

export function machineCharts(names: readonly string[], known: ReadonlyMap<string, SeriesInfo>): ChartSpec[] {
  const groups = new Map<string, string[]>();
  for (const name of [...names].sort(byName)) {
    const unit = known.get(name)?.unit;
    if (unit === undefined || !MACHINE_PREFIXES.some((prefix) => name.startsWith(prefix))) continue;
    groups.set(unit, [...(groups.get(unit) ?? []), name]);
  }
  const order = Object.keys(UNITS);
  const place = (unit: string): number => (order.includes(unit) ? order.indexOf(unit) : order.length);
  return [...groups].sort(([a], [b]) => place(a) - place(b)).map(([unit, members]) => chartOf(unit, members));
}

function chartOf(unit: string, members: readonly string[]): ChartSpec {
  const { id, title, ending, bounds = null } = UNITS[unit] ?? { id: `system-${unit}`, title: "System", ending: "" };
  const lines = members.map((name, i) => lineOf(name, labelOf(name, ending), look(i)));
  return { ...PLAIN, id, title, unit, bounds, lines };
}

/** `memory/cuda:0/allocated_gib` is "cuda:0 allocated", `system/cpu_percent` is "cpu". */
function labelOf(name: string, ending: string): string {
  const said = name.slice(name.indexOf("/") + 1).replaceAll("/", " ");
  return words(ending !== "" && said.endsWith(ending) ? said.slice(0, -ending.length) : said);
}
