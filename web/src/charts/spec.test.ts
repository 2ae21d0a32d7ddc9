import { describe, expect, it } from "vitest";
import { alertOf, commandOf, seriesInfoOf } from "../lib/models";
import { bandsOf, chartsOf, commandText, marksOf } from "./spec";

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

  it("are left out where a run has no such series", () => {
    expect(chartsOf(["loss/total"], [], [])).toEqual([]);
  });
});

it("stages become bands up to the next one", () => {
  const bands = bandsOf([
    { index: 1, name: "b", start: 10 },
    { index: 0, name: "a", start: 0 },
  ]);
  expect(bands).toEqual([
    { from: 0, to: 10, name: "a", isOdd: false },
    { from: 10, to: null, name: "b", isOdd: true },
  ]);
});

it("marks are alerts since their step and commands that were applied", () => {
  const applied = commandOf({
    id: "c",
    state: "applied",
    step: 9,
    kind: "set_weight",
    args: { component: "x", value: 1 },
    old: 2,
    new: 1,
  });
  const marks = marksOf([alertOf({ id: "a", step: 12 })], [applied, commandOf({ id: "q", state: "queued" })]);
  expect(marks.map((mark) => [mark.id, mark.step])).toEqual([
    ["c", 9],
    ["a", 12],
  ]);
});

it("a command says what it does, and then what it did", () => {
  expect(commandText(commandOf({ kind: "set_weight", args: { component: "x", value: 0.5 } }))).toBe(
    "set x weight to 0.5",
  );
  expect(commandText(commandOf({ kind: "set_weight", args: { component: "x", value: 0.5 }, old: 1, new: 0.5 }))).toBe(
    "x weight 1 → 0.5",
  );
  expect(commandText(commandOf({ kind: "pause" }))).toBe("pause");
});
