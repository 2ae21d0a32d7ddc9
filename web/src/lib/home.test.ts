import { describe, expect, it } from "vitest";
import { type Wish, WISH, countText, listed, matches, sortedBy, tagsOf } from "./home";
import { namesText, stretched, tagText, tagged, tagsIn, toggled, whyNoCompare, whyNoDelete, whyNoTags } from "./homeDeeds";
import { drawnTotal } from "./homeSpark";
import { entriesOf, viewOf } from "./homeWindow";
import { type Run, runOf } from "./models";
import { nameOf } from "./runNames";

function run(id: string, more: Record<string, unknown> = {}): Run {
  return runOf({ id, project: "p", name: id, state: "finished", started_s: 1, ...more });
}

function order(runs: Run[], wish: Partial<Wish>): string[] {
  return listed(runs, { ...WISH, ...wish }, (each) => each.dataAgeS).map((each) => each.id);
}

describe("looking for a run", () => {
  const known = run("r1", {
    project: "De Novo",
    name: "ablation",
    label: "the best",
    tags: ["Sweep", "lr"],
    state: "lost",
    device: "H200",
    note: "mended collate",
  });

  it.each(["novo", "ABLATION", "best", "sweep", "lost", "h200", "collate", "best lost", "tag:sweep", "state:lost", "  "])(
    "%j finds it",
    (search) => expect(matches(known, search)).toBe(true),
  );

  it.each(["best running", "tag:swee", "state:lo", "x"])("%j does not", (search) =>
    expect(matches(known, search)).toBe(false),
  );
});

describe("the list", () => {
  it("leaves out what was put away, until it is asked for", () => {
    const runs = [run("a"), run("b", { archived: true })];
    expect(order(runs, {})).toEqual(["a"]);
    expect(order(runs, { showsArchived: true })).toEqual(["a", "b"]);
  });

  it("is narrowed by tag and state together", () => {
    const runs = [run("a", { tags: ["x"] }), run("b", { tags: ["x"], state: "lost" }), run("c", { state: "lost" })];
    expect(order(runs, { tag: "x", state: "lost" })).toEqual(["b"]);
  });

  it("sorts numbers with what is not finite as the worst, and what is missing last in both directions", () => {
    const runs = [
      run("two", { total: 2 }),
      run("none"),
      run("nan", { total: "NaN" }),
      run("inf", { total: "-Infinity" }),
      run("one", { total: 1 }),
    ];
    expect(order(runs, { sort: "total", isDown: true })).toEqual(["nan", "two", "one", "inf", "none"]);
    expect(order(runs, { sort: "total", isDown: false })).toEqual(["inf", "one", "two", "nan", "none"]);
  });

  it("sorts names as a person counts, and health by the worst", () => {
    expect(order([run("s10"), run("s2")], { sort: "name", isDown: false })).toEqual(["s2", "s10"]);
    const sick = [run("ok", { health: "ok" }), run("bad", { health: "critical" }), run("new", { health: "unknown" })];
    expect(order(sick, { sort: "health", isDown: true })).toEqual(["bad", "ok", "new"]);
  });

  it("groups by project and keeps the order within", () => {
    const runs = [
      run("a", { project: "q", started_s: 1 }),
      run("b", { project: "p", started_s: 2 }),
      run("c", { project: "q", started_s: 3 }),
    ];
    expect(order(runs, { isGrouped: true })).toEqual(["b", "c", "a"]);
    const entries = entriesOf([...runs].sort((x, y) => (x.project < y.project ? -1 : 1)), true);
    expect(entries.map((entry) => (entry.kind === "group" ? `${entry.project} ${entry.count}` : entry.run.id))).toEqual([
      "p 1",
      "b",
      "q 2",
      "a",
      "c",
    ]);
  });

  it("turns the direction with the second press on a head", () => {
    const first = sortedBy(WISH, "total");
    expect([first.isDown, sortedBy(first, "total").isDown, sortedBy(first, "name").isDown]).toEqual([true, false, false]);
  });

  it("says what there is", () => {
    const runs = [run("a", { health: "critical", state: "running" }), run("b", { archived: true })];
    expect(countText(runs, 1)).toBe("1 of 2 runs · 1 running · 1 critical · 1 archived");
    expect(countText([run("a")], 1)).toBe("1 run");
    expect(tagsOf([run("a", { tags: ["x", "y"] }), run("b", { tags: ["y"] })])).toEqual([
      { tag: "y", count: 2 },
      { tag: "x", count: 1 },
    ]);
    expect([nameOf(run("a")), nameOf(run("a", { label: "best" }))]).toEqual(["a", "best"]);
  });
});

describe("what is in view", () => {
  const heights = { run: 10, group: 5 };
  const rows = entriesOf(
    Array.from({ length: 500 }, (_, i) => run(`r${i}`)),
    false,
  );

  it("is a few rows of any number, and the rest takes its room", () => {
    const view = viewOf(rows, heights, 2000, 2600);
    expect(view).toEqual({ from: 176, to: 284, before: 1760, behind: 2160 });
    expect(view.before + (view.to - view.from) * 10 + view.behind).toBe(5000);
  });

  it("is all of a short list, and nothing of one that was scrolled past", () => {
    expect(viewOf(rows.slice(0, 3), heights, 0, 600)).toEqual({ from: 0, to: 3, before: 0, behind: 0 });
    expect(viewOf(rows, heights, 9000, 9600)).toEqual({ from: 500, to: 500, before: 5000, behind: 0 });
    expect(viewOf([], heights, 0, 600)).toMatchObject({ from: 0, to: 0 });
  });
});

describe("the chosen runs", () => {
  const [a, b] = [run("a", { tags: ["x"] }), run("b", { tags: ["x", "y"], connected: true })];

  it("are chosen one by one and in a stretch", () => {
    expect([...toggled(new Set(["a"]), "a")]).toEqual([]);
    expect([...stretched(new Set(["z"]), ["a", "b", "c", "d"], "c", "b")]).toEqual(["z", "b", "c"]);
    expect([...stretched(new Set(), ["a"], "gone", "a")]).toEqual(["a"]);
  });

  it("are tagged, and what will happen is said before", () => {
    expect(tagsIn(" a, b ,,a")).toEqual(["a", "b"]);
    expect([...tagged([a, b], ["y"], ["x"])]).toEqual([
      [a, { tags: ["y"] }],
      [b, { tags: ["y"] }],
    ]);
    expect(tagText([a, b], ["y"], ["x"])).toBe("Gives “y” to 1 run, takes “x” from 2 runs.");
    expect(tagText([a], ["x"], [])).toBe("Nothing changes.");
    const many = Array.from({ length: 21 }, (_, i) => `t${i}`);
    expect(tagText([a], many, [])).toContain("more than 20 tags");
    expect(whyNoTags("x".repeat(51))).toContain("50 characters");
    expect(whyNoTags("😀".repeat(50))).toBeNull();
  });

  it("say why something cannot be done with them", () => {
    expect([whyNoCompare(1), whyNoCompare(2), whyNoCompare(9)].map((why) => why === null)).toEqual([false, true, false]);
    expect(whyNoDelete([a], false)).toContain("admin");
    expect(whyNoDelete([a, b], true)).toBe("Stop it first: the trainer of b is connected.");
    expect(whyNoDelete([a], true)).toBeNull();
    expect(namesText([a, b, a, b])).toBe("a, b and 2 more");
  });
});

describe("a total as a small curve", () => {
  it("marks what is not finite, and says it", () => {
    const drawn = drawnTotal([
      [0, 2],
      [10, 1],
      [20, Number.NaN],
      [30, Infinity],
    ]);
    expect(drawn.marks).toHaveLength(2);
    expect(drawn.text).toBe("Total from 2 to +Inf, between 1 and 2; not finite in 2 of 4 parts of the run.");
  });

  it("is drawn on a log scale when it goes over two decades, and says so", () => {
    const drawn = drawnTotal([
      [0, 1],
      [1, 10],
      [2, 1000],
    ]);
    expect(drawn.text).toContain("log scale");
    expect(drawn.path).toBe("M0.0 22.0L60.0 14.7L120.0 0.0");
    expect(drawnTotal([]).text).toBe("No total yet.");
    expect(drawnTotal([[0, Number.NaN]]).marks).toHaveLength(1);
  });
});
