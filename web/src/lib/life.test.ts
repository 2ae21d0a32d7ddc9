import { expect, it } from "vitest";
import { awaitsEffect, stopsOf, tookText } from "./life";
import { commandOf } from "./models";

const command = (more: object = {}): ReturnType<typeof commandOf> =>
  commandOf({ id: "c", kind: "set_weight", state: "applied", created_s: 10, ...more });
const history = [
  { state: "queued", at_s: 10 },
  { state: "sent", at_s: 10.1 },
  { state: "received", at_s: 10.2 },
  { state: "applied", at_s: 10.4 },
];
const reached = (more: object): string[] => stopsOf(command(more)).filter((s) => s.isReached).map((s) => s.name);

it("goes on to the effect where the server will judge it", () => {
  expect(stopsOf(command()).map(({ name }) => name)).toEqual(["queued", "sent", "received", "applied", "effect"]);
  expect(stopsOf(command({ kind: "pause" })).map(({ name }) => name)).not.toContain("effect");
  expect([awaitsEffect(command()), awaitsEffect(command({ kind: "pause" })), awaitsEffect(command({ state: "sent" }))]).toEqual([
    true,
    false,
    false,
  ]);
});

it("is as far as it got, also of one that was refused", () => {
  expect(reached({ state: "sent", history: history.slice(0, 2) })).toEqual(["queued", "sent"]);
  expect(reached({ state: "rejected", history: [...history.slice(0, 3), { state: "rejected", at_s: 11 }] })).toEqual([
    "queued",
    "sent",
    "received",
  ]);
  const told = command({ history, effect: { verdict: "worked" } });
  expect(stopsOf(told).filter((s) => s.isNow).map((s) => s.name)).toEqual(["effect"]);
});

it("says how long it took from the press, where the times say so", () => {
  expect(tookText(command({ history }))).toBe("0.4 s after it was pressed");
  expect(tookText(command())).toBe("");
});
