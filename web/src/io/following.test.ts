import { expect, it } from "vitest";
import type { Fields } from "../lib/decode";
import { Following } from "./following";

function world(): { following: Following; said: Fields[] } {
  const said: Fields[] = [];
  return { following: new Following((message) => said.push(message) > 0), said };
}

it("a cursor counts only when it is of the run that is followed, and the subscription is in force", () => {
  const { following } = world();
  following.watch("a");
  following.answered({ run: "a" });
  following.loaded(following.lose());
  following.heard({ run: "a", cursor: "a1" });
  following.heard({ run: "b", cursor: "b1" });
  following.heard({ alert: { run: "b" }, cursor: "b2" });
  expect(following.greeting()).toEqual({ type: "subscribe", run: "a", cursor: "a1" });
  following.heard({ alert: { run: "a" }, cursor: "a2" });
  following.answered({ run: "a" });
  following.heard({ command: { run: "a" }, cursor: "a3" });
  expect(following.greeting()["cursor"]).toBe("a3");
  following.watch("a");
  following.loaded(following.lose());
  following.heard({ run: "a", cursor: "a4" });
  expect(following.greeting()).not.toHaveProperty("cursor");
});

it("only the answer to the newest subscription says that history can be loaded", () => {
  const { following } = world();
  following.watch("a");
  following.watch("b");
  following.watch("a");
  expect(following.answered({ run: "a" })).toBe(false);
  expect(following.answered({ run: "b" })).toBe(false);
  expect(following.answered({ run: "a" })).toBe(true);
});

it("a load that a later one overtook says nothing", () => {
  const { following } = world();
  following.watch("a");
  const first = following.lose();
  const second = following.lose();
  following.loaded(first);
  expect(following.hasAll).toBe(false);
  following.loaded(second);
  expect(following.hasAll).toBe(true);
});

it("too long a list of series is no wish", async () => {
  const { following, said } = world();
  following.watch("a");
  await following.narrow(Array.from({ length: 1001 }, (_, i) => `s${i}`));
  expect(said).toEqual([{ type: "subscribe", run: "a" }]);
});
