// @vitest-environment happy-dom
import { expect, it, vi } from "vitest";
import { type World, eachTestInItsWorld } from "./testServer";

let world: World;
eachTestInItsWorld((made) => {
  world = made;
});

const askedIncidents = (): string[] =>
  world.asked.map((url) => url.pathname).filter((path) => path.endsWith("/incidents"));
const run = (id: string, critical: number): Record<string, unknown> => ({
  type: "run",
  run: { id, state: "running", connected: true, alerts: { critical } },
});
const incident = { id: "i", run: "r", state: "open", severity: "critical" };

it("incidents of the run on the screen are loaded with it, and then come live", async () => {
  await world.begin();
  expect(askedIncidents()).toEqual(["/api/runs/r/incidents"]);
  await world.tell({ type: "incident", incident });
  expect(world.state.incidents["i"]).toMatchObject({ run: "r", isOpen: true, severity: "critical" });
  world.asked = [];
  await world.tell(run("r", 1));
  expect(askedIncidents(), "they are told already").toEqual([]);
});

it("incidents of another run are asked for when more of it is critical", async () => {
  await world.begin();
  await world.tell(run("other", 0));
  world.asked = [];
  await world.tell(run("other", 1));
  await world.tell(run("other", 1));
  expect(askedIncidents()).toEqual(["/api/runs/other/incidents"]);
});

it("a cursor of an incident's message is gone on from", async () => {
  await world.begin();
  await world.tell({ type: "incident", incident });
  await world.comeBack();
  expect(world.lastSubscription()["cursor"], "two answers to subscriptions came before it").toBe("boot.3");
});

it.each(["alerts", "incidents"] as const)("a list of %s that was read before the news takes nothing of it back", async (what) => {
  const usual = globalThis.fetch;
  let answer = (): void => undefined;
  const old = { items: [{ id: "i", run: "r", state: what === "alerts" ? "firing" : "open" }], next: null };
  vi.stubGlobal("fetch", (url: URL) =>
    url.pathname.endsWith(`/${what}`)
      ? new Promise((go) => (answer = () => go(new Response(JSON.stringify(old)))))
      : usual(url),
  );
  await world.begin();
  if (what === "alerts") await world.tell({ type: "alert", alert: { id: "i", run: "r", state: "resolved" } });
  else await world.tell({ type: "incident", incident: { ...incident, state: "closed" } });
  answer();
  await world.settle();
  const { detail, incidents } = world.state;
  expect(what === "alerts" ? detail.alerts["i"]?.state : incidents["i"]?.isOpen).toBe(what === "alerts" ? "resolved" : false);
});
