import { describe, expect, it } from "vitest";
import type { Chosen } from "../lib/crowd";
import { seriesInfoOf } from "../lib/models";
import { chartsOf } from "./catalogue";
import { firstChoices } from "./picture";
import type { ChartSpec } from "./spec";

const COMPONENTS = ["ce", "spectrum", "precursor"];
const NAMES = [
  "loss/total",
  "loss/precursor",
  "loss/ce",
  "contribution/precursor",
  "contribution/ce",
  "weight/ce",
  "grad_norm/total",
  "grad_norm/head",
  "matrix/R/fro",
  "lr",
  "val/acc",
  "val/loss",
];

describe("charts", () => {
  const charts = chartsOf(NAMES, COMPONENTS, [
    seriesInfoOf({ name: "matrix/R/fro", contract: { low: 50, high: 100 } }),
  ]);

  it("follow from the names, in reading order", () => {
    expect(charts.map((chart) => chart.id)).toEqual([
      "contributions",
      "losses",
      "gradients",
      "matrices",
      "weights",
      "other-lr",
      "other-val",
    ]);
  });

  it("put the total over the contributions, and not among the raw losses", () => {
    expect(charts[0]?.lines.map((line) => line.label)).toEqual(["total", "ce", "precursor"]);
    expect(charts[1]?.lines.map((line) => line.label)).toEqual(["ce", "precursor"]);
  });

  it("give a component one colour on every chart", () => {
    const looks = charts.flatMap((chart) =>
      chart.lines.filter((line) => line.label === "precursor").map((line) => line.look.colour),
    );
    expect(looks).toEqual([2, 2]);
  });

  it("carry the contract of a matrix", () => {
    expect(charts[3]?.contracts).toEqual([{ label: "R/fro", low: 50, high: 100 }]);
  });

  it("list ten series in the order in which a person counts", () => {
    const said = chartsOf(["loss/s10", "loss/s2", "val/s10", "val/s2", "loss/s1"], [], []);
    expect(said.map((chart) => chart.lines.map((line) => line.label))).toEqual([
      ["s1", "s2", "s10"],
      ["s2", "s10"],
    ]);
  });

  it("are left out where a run has no such series", () => {
    expect(chartsOf([], [], [])).toEqual([]);
    expect(chartsOf(["lr"], [], []).map((chart) => chart.id)).not.toContain("losses");
  });

  it("show a total that has no parts among the losses, and beside its parts only once", () => {
    const totals = (names: string[]): string[] =>
      chartsOf(names, [], []).flatMap((chart) => chart.lines.filter((line) => line.isTotal).map(() => chart.id));
    expect(totals(["loss/total"])).toEqual(["losses"]);
    expect(totals(["loss/total", "loss/ce"])).toEqual(["losses"]);
    expect(totals(["loss/total", "loss/ce", "contribution/ce"])).toEqual(["contributions"]);
  });
});

describe("gradient norms of many groups", () => {
  const names = ["grad_norm/total", ...Array.from({ length: 75 }, (_, i) => `grad_norm/block${i}`)];
  const members = Array.from({ length: 12 }, (_, i) => `block${74 - i}`);

  it("are the largest under the total, and all of them are seen at first", () => {
    const [chart] = chartsOf(names, [], [], [{ id: "groups", members, of: 75 }]);
    expect(chart).toMatchObject({ id: "gradients", note: "12 of 75 groups, the largest" });
    expect(chart?.lines.map((line) => line.label)).toEqual(["total", ...members]);
    expect(chart === undefined ? [] : [...firstChoices(chart).hidden]).toEqual([]);
  });

  it("wait until it is known which are the largest", () => {
    expect(chartsOf(names, [], [])[0]?.lines.map((line) => line.label)).toEqual(["total"]);
  });

  it("are all shown where they are few", () => {
    const few = names.slice(0, 4);
    const chosen = { id: "groups", members: ["block2", "block0", "block1"], of: 3 } as const;
    expect(chartsOf(few, [], [], [chosen])).toMatchObject([
      { note: "", lines: [{ label: "total" }, { label: "block0" }, { label: "block1" }, { label: "block2" }] },
    ]);
  });
});

describe("crowds", () => {
  const members = Array.from({ length: 12 }, (_, i) => `decoder.layers.${i}.self_attn.q_proj.weight`);
  const crowd = (id: Chosen["id"], of: number): Chosen => ({ id, members, of });

  it("are charts of the chosen, and say of how many", () => {
    const names = Array.from({ length: 500 }, (_, i) => `param_grad_norm/decoder.layers.${i}.self_attn.q_proj.weight`);
    const [chart, ...others] = chartsOf(names, [], [], [crowd("parameters", 500)]);
    expect(others).toEqual([]);
    expect(chart).toMatchObject({ id: "parameters", note: "12 of 500 parameters, the largest", isLog: true });
    expect(chart?.lines.map((line) => line.name)).toEqual(members.map((member) => `param_grad_norm/${member}`));
    expect(new Set(chart?.lines.map((line) => `${line.look.colour} ${line.look.dash.join()}`)).size).toBe(12);
  });

  it("that are shown whole have no note", () => {
    const names = members.map((member) => `param_grad_norm/${member}`);
    expect(chartsOf(names, [], [], [crowd("parameters", 12)])[0]?.note).toBe("");
  });

  it("of activations have a chart a statistic, with one colour a module", () => {
    const names = members.flatMap((member) => [`activation/${member}/rms`, `activation/${member}/absmax`]);
    const charts = chartsOf(names, [], [], [crowd("activations", 50)]);
    expect(charts.map((chart) => [chart.id, chart.lines.length, chart.note])).toEqual([
      ["activations-rms", 12, "12 of 50 modules, the largest"],
      ["activations-absmax", 12, "12 of 50 modules, the largest"],
    ]);
    expect(charts[0]?.lines.map((line) => line.look)).toEqual(charts[1]?.lines.map((line) => line.look));
  });

  it("of which nobody is chosen yet are left out", () => {
    expect(chartsOf(["param_grad_norm/w"], [], [], [])).toEqual([]);
  });
});

describe("quantities with ends and units", () => {
  const unit = (name: string, its: string): ReturnType<typeof seriesInfoOf> => seriesInfoOf({ name, unit: its });
  const of = (...names: string[]): ChartSpec[] => chartsOf(names, COMPONENTS, []);

  it("have axes with these ends: shares 0 to 1, cosines -1 to 1", () => {
    const charts = of("grad_share/precursor", "grad_share/ce", "grad_cos/ce|precursor");
    expect(charts.map((chart) => [chart.id, chart.bounds])).toEqual([
      ["grad-shares", [0, 1]],
      ["grad-cosines", [-1, 1]],
    ]);
    expect(charts[0]?.lines.map((line) => [line.label, line.look.colour])).toEqual([
      ["ce", 0],
      ["precursor", 2],
    ]);
    expect(charts[1]?.lines[0]?.label).toBe("ce · precursor");
  });

  it("of the machine share a chart only with what has the same unit", () => {
    const infos = [
      unit("system/cpu_percent", "%"),
      unit("system/rss_gib", "GiB"),
      unit("memory/cuda:0/allocated_gib", "GiB"),
      unit("system/gpu_power_w", "W"),
    ];
    const charts = chartsOf(
      infos.map((info) => info.name),
      [],
      infos,
    );
    expect(charts.map((chart) => [chart.id, chart.unit, chart.lines.map((line) => line.label)])).toEqual([
      ["memory", "GiB", ["cuda:0 allocated", "rss"]],
      ["utilisation", "%", ["cpu"]],
      ["power", "W", ["gpu power"]],
    ]);
  });

  it("wait for their unit", () => {
    expect(of("system/cpu_percent")).toEqual([]);
  });
});

it("the worst item of a batch is an index, and on no axis with norms", () => {
  const charts = chartsOf(["matrix/R/fro", "matrix/R/trace_min", "matrix/R/worst"], [], []);
  expect(charts.map((chart) => [chart.id, chart.isLog, chart.lines.map((line) => line.label)])).toEqual([
    ["matrices", true, ["R/fro", "R/trace_min"]],
    ["matrices-worst", false, ["R"]],
  ]);
});

it("what is skipped is shown as marks, not as a chart; the loss scale is one", () => {
  const charts = chartsOf(["skipped", "loss_scale"], [], []);
  expect(charts.map((chart) => [chart.id, chart.isStepped])).toEqual([["other-loss_scale", true]]);
});
