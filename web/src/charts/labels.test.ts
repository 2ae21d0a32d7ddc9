import { expect, it } from "vitest";
import { labelsOf } from "./labels";

it("what all paths share is left out, and what tells them apart is not", () => {
  expect(labelsOf(["model.layers.3.mlp.up.weight", "model.layers.17.mlp.up.weight"])).toEqual([
    "layers.3.mlp.up.weight",
    "layers.17.mlp.up.weight",
  ]);
});

it("a long path keeps its beginning and its end", () => {
  const [label] = labelsOf(["layers.17.mlp.experts.3.gate_proj.weight", "head.weight"]);
  expect(label).toBe("layers.17.m…gate_proj.weight");
});

it.each([
  [["head.weight"], ["head.weight"]],
  [
    ["a.b", "a.b.c"],
    ["b", "b.c"],
  ],
  [[], []],
])("paths without much in common, or alone, stay as they are: %j", (paths, labels) => {
  expect(labelsOf(paths)).toEqual(labels);
});

it("no two labels of a chart are the same", () => {
  const paths = Array.from({ length: 12 }, (_, i) => `block.a_very_long_name.${i}.another_very_long_name.weight`);
  expect(new Set(labelsOf([...paths, "x"])).size).toBe(13);
});
