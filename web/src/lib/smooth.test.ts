import { describe, expect, it } from "vitest";
import { type Sums, nextSmoothing, runningMeans, smoothSteps } from "./smooth";

function sums(values: readonly (number | null)[], broken: readonly number[] = []): Sums {
  return {
    steps: values.map((_, i) => i),
    sum: values.map((value) => value ?? 0),
    count: values.map((value) => (value === null ? 0 : 1)),
    isBroken: values.map((_, i) => broken.includes(i)),
  };
}

describe("the running mean", () => {
  it("takes as much before as after, and less at the ends", () => {
    expect(runningMeans(sums([0, 3, 6, 9, 12]), 2)).toEqual([1.5, 3, 6, 9, 10.5]);
  });

  it("weighs columns by how many values they hold, and passes over what is not finite", () => {
    expect(runningMeans({ ...sums([0, 0]), sum: [10, 100], count: [1, 9] }, 10)).toEqual([11, 11]);
    expect(runningMeans(sums([1, null, 3]), 2)).toEqual([1, 2, 3]);
    expect(runningMeans(sums([null, null]), 2)).toEqual([NaN, NaN]);
  });

  it("does not reach over a break", () => {
    expect(runningMeans(sums([1, 1, null, 9, 9], [2]), 4)).toEqual([1, 1, NaN, 9, 9]);
  });

  it("is not spoilt by a value that is larger by many orders", () => {
    const means = runningMeans(sums([1, 1e30, 1, 1, 1, 1]), 2);
    expect(means.slice(3)).toEqual([1, 1, 1]);
  });

  it("is exact over many columns", () => {
    const values = Array.from({ length: 500 }, (_, i) => Math.sin(i) * 10);
    const means = runningMeans(sums(values), 20);
    const near = values.slice(240, 261);
    expect(means[250]).toBeCloseTo(near.reduce((a, b) => a + b, 0) / near.length, 9);
  });
});

it("levels follow one another, and their widths are said in round steps", () => {
  expect(["off", "light", "medium", "strong"].map((one) => nextSmoothing(one as "off"))).toEqual([
    "light",
    "medium",
    "strong",
    "off",
  ]);
  expect(smoothSteps("off", 1000)).toBe(0);
  expect(smoothSteps("light", 1000)).toBe(10);
  expect(smoothSteps("strong", 3000)).toBe(500);
  expect(smoothSteps("light", 10)).toBe(5);
});
