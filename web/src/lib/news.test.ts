import { describe, expect, it } from "vitest";
import { type Incident, incidentOf } from "./incidents";
import { runOf } from "./models";
import { type News, isLoud, isStillSo, newsBetween } from "./news";
import { type Action, INITIAL, type State, reduce } from "./state";
import { KEPT_MAX, leftAt, withNews, without } from "./toasts";

const its = (severity: string, state = "open"): Incident =>
  incidentOf({ id: "i", run: "r", state, severity, headline: { rule: "loss_jump", component: "ce", message: "m" } });
const run = (state: string): Action => ({
  type: "run",
  run: runOf({ id: "r", project: "p", name: "n", state, connected: true }),
  atMs: 0,
});
const after = (...actions: Action[]): State => actions.reduce(reduce, INITIAL);
const QUIET = after({ type: "link", link: "up" }, run("running"), { type: "incidents", run: "r", incidents: [] });
const told = (before: State, ...actions: Action[]): string[] =>
  newsBetween(before, actions.reduce(reduce, before)).map(({ title, tone }) => `${tone} ${title}`);

describe("news", () => {
  it("are incidents that become critical, and these alone are loud", () => {
    const now = reduce(QUIET, { type: "incident", incident: its("critical") });
    const [news] = newsBetween(QUIET, now);
    expect(news).toMatchObject({ tone: "critical", title: "p/n: loss jump, ce", run: "r", incident: "i" });
    expect(news !== undefined && isLoud(news)).toBe(true);
    expect(told(QUIET, { type: "incident", incident: its("warning") })).toEqual([]);
  });

  it.each([
    ["crashed", "critical p/n: crashed"],
    ["lost", "warning p/n: lost"],
    ["finished", "calm p/n: finished"],
  ])("are runs that become %s, without a sound", (state, words) => {
    expect(told(QUIET, run(state))).toEqual([words]);
    expect(newsBetween(QUIET, reduce(QUIET, run(state))).some(isLoud)).toBe(false);
    expect(told(after(run(state)), run(state))).toEqual([]);
    expect(told(INITIAL, run(state))).toEqual([]);
  });

  it.each(["paused", "stopped", "running"])("are not runs that become %s: a person did that", (state) =>
    expect(told(QUIET, run(state))).toEqual([]),
  );

  it("are a server that is back, not one that is there", () => {
    const down = reduce(QUIET, { type: "link", link: "down" });
    expect(told(down, { type: "link", link: "up" })).toEqual(["calm The server is back"]);
    expect(told(INITIAL, { type: "link", link: "up" })).toEqual([]);
    expect(told(QUIET, { type: "link", link: "down" })).toEqual([]);
  });

  it("are over when the incident is, and when the run goes on", () => {
    const now = after(run("running"), { type: "incident", incident: its("critical") });
    const news: News = { key: "k", tone: "critical", title: "", body: "", run: "r", incident: "i" };
    expect(isStillSo(news, now)).toBe(true);
    expect(isStillSo(news, reduce(now, { type: "incident", incident: its("critical", "closed") }))).toBe(false);
    expect(isStillSo({ ...news, incident: null }, now)).toBe(false);
    expect(isStillSo({ ...news, incident: null }, reduce(now, run("lost")))).toBe(true);
  });
});

describe("toasts", () => {
  const news = (key: string, more: Partial<News> = {}): News => ({
    key,
    tone: "critical",
    title: key,
    body: "",
    run: null,
    incident: null,
    ...more,
  });

  it("stay while they need a person, and go by themselves when they do not", () => {
    const toasts = withNews(withNews([], news("a"), 0, null), news("b", { tone: "calm" }), 0, null);
    expect(leftAt(toasts, 9_000, INITIAL, false)).toBe(toasts);
    expect(leftAt(toasts, 11_000, INITIAL, false).map(({ key }) => key)).toEqual(["a"]);
    expect(leftAt(toasts, 11_000, INITIAL, true)).toBe(toasts);
    expect(without(toasts, "a").map(({ key }) => key)).toEqual(["b"]);
  });

  it("of the run on the screen go by themselves: it says so anyway", () => {
    const [toast] = withNews([], news("a", { run: "r" }), 5, "r");
    expect(toast?.endsMs).toBe(10_005);
    expect(withNews([], news("a", { run: "r" }), 5, "other")[0]?.endsMs).toBeNull();
  });

  it("of the same take each other's place, and do not pile up for ever", () => {
    let toasts = withNews([], news("a"), 0, null);
    toasts = withNews(toasts, news("a", { title: "newer" }), 1, null);
    expect(toasts.map(({ title }) => title)).toEqual(["newer"]);
    for (let i = 0; i < 50; i += 1) toasts = withNews(toasts, news(`n${i}`), 2, null);
    expect([toasts.length, toasts[0]?.key]).toEqual([KEPT_MAX, "n49"]);
  });
});
