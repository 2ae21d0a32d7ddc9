import { describe, expect, it } from "vitest";
import { COMPARED_MAX, NEWEST, type Route, hashOf, parseRoute } from "./route";

const ROUTES: readonly (readonly [string, Route])[] = [
  ["", NEWEST],
  ["#home", { view: "home" }],
  ["#run=r1", { ...NEWEST, run: "r1" }],
  ["#run=r1&from=10&to=200.5", { ...NEWEST, run: "r1", from: 10, to: 200.5 }],
  ["#run=a%2Fb&alert=x%26y", { ...NEWEST, run: "a/b", alert: "x&y" }],
  ["#compare=r1,r%232", { view: "compare", runs: ["r1", "r#2"] }],
];

describe("addresses", () => {
  it.each(ROUTES)("%s says its route and is said by it", (hash, route) => {
    expect(parseRoute(hash)).toEqual(route);
    expect(hashOf(route)).toBe(hash);
  });

  it.each(["#from=10", "#from=9&to=3", "#from=x&to=3", "#from=-1&to=3", "#from=Infinity&to=3", "#run=", "#nonsense"])(
    "%s holds nothing that can be read",
    (hash) => expect(parseRoute(hash)).toEqual(NEWEST),
  );

  it("compares each run once, and no more than can be told apart", () => {
    const many = Array.from({ length: 20 }, (_, i) => `r${i}`);
    expect(parseRoute(`#compare=r1,r1,,r2`)).toEqual({ view: "compare", runs: ["r1", "r2"] });
    expect(parseRoute(`#compare=${many.join(",")}`)).toEqual({ view: "compare", runs: many.slice(0, COMPARED_MAX) });
  });
});
