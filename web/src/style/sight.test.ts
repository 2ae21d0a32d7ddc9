/**
 * Whether colours can be told apart by people who see colours otherwise, by simulation.
 *
 * Rules of this file: dichromats by Machado et al. 2009 (severity 1.0, on linear light), distances in OKLab; the floors
 * are what was measured for this palette, less a little, so that a new colour cannot make it worse unseen.
 */
import { describe, expect, it } from "vitest";
import { PALETTE_SIZE } from "../lib/palette";
import css from "./tokens.css?raw";

type Triple = readonly [number, number, number];
type Matrix = readonly [Triple, Triple, Triple];

const SIGHTS: Readonly<Record<string, Matrix>> = {
  normal: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

function times(m: Matrix, [x, y, z]: Triple): Triple {
  const [a, b, c] = m.map((row) => row[0] * x + row[1] * y + row[2] * z);
  return [a ?? 0, b ?? 0, c ?? 0];
}

function linear(colour: string): Triple {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return [r ?? 0, g ?? 0, b ?? 0];
}

function oklab(light: Triple): Triple {
  const clipped = light.map((part) => Math.min(1, Math.max(0, part)));
  const cones = times(
    [
      [0.4122214708, 0.5363325363, 0.0514459929],
      [0.2119034982, 0.6806995451, 0.1073969566],
      [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    [clipped[0] ?? 0, clipped[1] ?? 0, clipped[2] ?? 0],
  );
  return times(
    [
      [0.2104542553, 0.793617785, -0.0040720468],
      [1.9779984951, -2.428592205, 0.4505937099],
      [0.0259040371, 0.7827717662, -0.808675766],
    ],
    [Math.cbrt(cones[0]), Math.cbrt(cones[1]), Math.cbrt(cones[2])],
  );
}

function distance(a: string, b: string, sight: Matrix): number {
  const [one, other] = [a, b].map((colour) => oklab(times(sight, linear(colour))));
  return Math.hypot(...(one ?? [0, 0, 0]).map((part, i) => part - (other?.[i] ?? 0)));
}

function tokensOf(theme: string): (name: string) => string {
  const block = css.slice(css.indexOf(`[data-theme="${theme}"]`)).split("}")[0] ?? "";
  const tokens = new Map([...block.matchAll(/--([\w-]+): (#\w+);/g)].map((match) => [match[1] ?? "", match[2] ?? ""]));
  return (name) => tokens.get(name) ?? "#000000";
}

function closest(colours: readonly string[], sight: Matrix): number {
  return Math.min(...colours.flatMap((a, i) => colours.slice(i + 1).map((b) => distance(a, b, sight))));
}

/** 0.02 is about what can just be seen side by side. */
const SERIES_FLOOR = 0.075;
const FIRST_FOUR_FLOOR = 0.12;
/** Health has a shape and a word as well. */
const HEALTH_FLOOR = 0.065;

describe.each(["light", "dark"])("the %s theme", (theme) => {
  const token = tokensOf(theme);
  const series = Array.from({ length: PALETTE_SIZE }, (_, i) => token(`series-${i}`));

  it.each(Object.keys(SIGHTS))("has components that can be told apart with %s", (name) => {
    const sight = SIGHTS[name] ?? [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
    expect(closest(series, sight)).toBeGreaterThan(SERIES_FLOOR);
    expect(closest(series.slice(0, 4), sight)).toBeGreaterThan(FIRST_FOUR_FLOOR);
  });

  it.each(Object.keys(SIGHTS))("has health that can be told apart with %s", (name) => {
    const sight = SIGHTS[name] ?? [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
    expect(closest(["ok", "warning", "critical"].map(token), sight)).toBeGreaterThan(HEALTH_FLOOR);
    expect(closest(["ok", "warning", "critical", "unknown"].map((one) => token(`icon-${one}`)), sight)).toBeGreaterThan(
      HEALTH_FLOOR,
    );
  });
});
