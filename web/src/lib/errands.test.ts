import { describe, expect, it } from "vitest";
import { type Errand, errandsOf, soughtErrands } from "./errands";
import { runOf } from "./models";
import { NEWEST, type Route } from "./route";
import { type Action, INITIAL, type State, reduce } from "./state";

const run = (id: string, more: Record<string, unknown> = {}): Action => ({
  type: "run",
  run: runOf({ id, project: "p", name: id, state: "running", connected: true, controls: ["pause", "resume"], ...more }),
  atMs: 0,
});
const BEGUN: readonly Action[] = [
  { type: "link", link: "up" },
  { type: "access", scopes: ["control"] },
  run("a"),
  run("b"),
  { type: "select", run: "a" },
];
const after = (...actions: Action[]): State => [...BEGUN, ...actions].reduce(reduce, INITIAL);
const HERE: Route = { ...NEWEST, run: "a" };
const offered = (state: State, route: Route = HERE): Errand[] =>
  errandsOf({ state, route, charts: [{ id: "losses", title: "Losses" }] });
const titles = (errands: readonly Errand[]): string[] => errands.map(({ title }) => title);

describe("errands", () => {
  it("are places, runs, comparisons, charts and the page's own", () => {
    const said = titles(offered(after()));
    for (const one of ["Home: all runs", "p/b", "Compare p/a with p/b", "Losses", "Theme: dark", "Keys"])
      expect(said).toContain(one);
    expect(said).not.toContain("p/a");
  });

  it("call runs as a person does, and leave out what is put away", () => {
    const said = titles(offered(after(run("b", { label: "best" }), run("c", { archived: true }))));
    expect(said).toContain("Compare p/a with p/best");
    expect(said.filter((title) => title.includes("p/c"))).toEqual([]);
  });

  it("what changes a run is only opened, and says so by its dots", () => {
    const orders = offered(after()).filter(({ deed }) => deed.kind === "order");
    expect(orders.length).toBeGreaterThan(2);
    for (const { title } of orders) expect(title.endsWith("…")).toBe(true);
  });

  it("offer to pause what runs, and to resume what is paused", () => {
    expect(titles(offered(after()))).toContain("Pause this run…");
    const paused = titles(offered(after(run("a", { state: "paused" }))));
    expect([paused.includes("Pause this run…"), paused.includes("Resume this run…")]).toEqual([false, true]);
  });

  it.each([
    [{ type: "access", scopes: ["view"] }, "View only"],
    [{ type: "link", link: "down" }, "The server is gone"],
    [run("a", { state: "finished" }), "The run is over"],
  ] as const)("that cannot be done say why", (cause, why) => {
    const pause = offered(after(cause)).find(({ id }) => id === "order pause");
    expect(pause?.refusal).toContain(why);
  });

  it("that the script does not allow say that", () => {
    const errand = offered(after()).find(({ id }) => id === "order checkpoint");
    expect(errand?.refusal).toBe("This training script does not allow it.");
  });

  it("of a run are not offered where none is on the screen", () => {
    const home = offered(after(), { view: "home" });
    expect(home.filter(({ deed }) => deed.kind === "order" || deed.kind === "chart")).toEqual([]);
    expect(titles(home)).toContain("p/a");
    expect(titles(home)).not.toContain("Home: all runs");
    expect(titles(offered(INITIAL, { view: "home" }))).toContain("Keys");
  });

  it("each has its own name", () => {
    const ids = offered(after()).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("are found by a few letters", () => {
    const find = (question: string): string | undefined => soughtErrands(question, offered(after()))[0]?.title;
    expect([find("pau"), find("hom"), find("dark"), find("cmp b"), find("chart")]).toEqual([
      "Pause this run…",
      "Home: all runs",
      "Theme: dark",
      "Compare p/a with p/b",
      "Losses",
    ]);
  });
});
