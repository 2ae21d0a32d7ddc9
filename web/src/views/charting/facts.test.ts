import { expect, it } from "vitest";
import type { Choices } from "../../charts/picture";
import { notesOf } from "./facts";
import type { Facts } from "./useLiveChart";

const CHOICES: Choices = { form: "lines", scale: "linear", hidden: new Set() };
const FACTS: Facts = { form: "lines", scale: "linear", threshold: 1, smoothSteps: 0, hangsBelow: false };

it("a plain chart says nothing, and nothing is said before it is drawn", () => {
  expect(notesOf(FACTS, CHOICES)).toEqual([]);
  expect(notesOf(null, CHOICES)).toEqual([]);
});

it("smoothing, symlog, shares and what could not be heaped are said", () => {
  expect(notesOf({ ...FACTS, smoothSteps: 50 }, CHOICES)).toEqual([
    "smoothed, mean of 50 steps; faint: lowest to highest",
  ]);
  expect(notesOf({ ...FACTS, scale: "symlog", threshold: 0.01 }, CHOICES)).toEqual(["linear within ±0.01"]);
  expect(notesOf({ ...FACTS, form: "shares", hangsBelow: true }, CHOICES)).toEqual([
    "of the sum of magnitudes; negative parts hang below 0",
  ]);
  expect(notesOf(FACTS, { ...CHOICES, form: "areas" })).toEqual(["lines: a part is negative, or the total is hidden"]);
});
