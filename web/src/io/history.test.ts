// @vitest-environment happy-dom
import { expect, it } from "vitest";
import { type World, eachTestInItsWorld } from "./testServer";

let world: World;
eachTestInItsWorld((made) => {
  world = made;
  world.put("a", [0, 1, 2, 3]);
}, ["queueMicrotask"]);

function shown(from: number, to: number): [number, number][] {
  const buffer = world.store.zoomed?.buffers.get("a");
  if (buffer === undefined) return [];
  const points = Array.from({ length: buffer.length }, (_, i): [number, number] => [
    buffer.steps[i] ?? -1,
    buffer.lasts[i] ?? NaN,
  ]);
  return points.filter(([step]) => step >= from && step <= to);
}

it("what comes live while a window is loading is in it", async () => {
  await world.begin();
  world.session.zoom(1, 10);
  await world.live("a", [4, 5], [999, NaN]);
  await world.live("a", [6]);
  expect(shown(0, 10)).toEqual([
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 999],
    [5, NaN],
    [6, 6],
  ]);
});

it("a window that is asked for before there are points is loaded with them", async () => {
  world.heldBack = [];
  await world.begin();
  world.session.zoom(1, 2);
  expect(world.store.zoomed).toBeNull();
  for (const go of world.heldBack) go();
  await world.settle();
  expect(shown(1, 2)).toEqual([
    [1, 1],
    [2, 2],
  ]);
});

it("asks for what a person looks at before anything else, and for no more buckets than the screen shows", async () => {
  world.put("b", [0, 1, 2, 3]);
  await world.begin();
  world.inView = new Set(["b"]);
  world.asked = [];
  world.session.zoom(0, 3);
  await world.settle();
  expect(world.askedPoints()).toEqual([["b"], ["a"]]);
  expect(world.asked.map((url) => url.searchParams.get("width"))).toEqual(["768", "768"]);
});

it("asks for every step of a window that has a pixel for each, and else for a bucket every two", async () => {
  world.put("a", [0, 900]);
  await world.begin();
  const widths = async (to: number): Promise<(string | null)[][]> => {
    world.asked = [];
    world.session.zoom(1, to);
    await world.settle();
    return world.asked.map(({ searchParams }) => [searchParams.get("to"), searchParams.get("width")]);
  };
  // a step more on either side, for lines that run to the edge
  expect(await widths(766)).toEqual([["767", "768"]]);
  expect(await widths(767)).toEqual([["768", "384"]]);
});

it("asks for buckets of the steps that there are, of a window that goes on behind them", async () => {
  world.put("a", [0, 900]);
  await world.begin();
  world.asked = [];
  world.session.zoom(600, 3000);
  await world.settle();
  const asked = world.asked.map(({ searchParams }) => ["from", "to", "width"].map((name) => searchParams.get(name)));
  expect(asked).toEqual([["599", "900", "768"]]);
  expect(world.store.zoomed).toMatchObject({ from: 599, to: 3001 });
});

it("loads again what is too coarse when the charts have grown, and nothing when they have shrunk", async () => {
  await world.begin();
  world.asked = [];
  for (const columns of [500, 760, 1200]) {
    world.columns = columns;
    world.session.resized();
    await world.settle();
  }
  const points = world.asked.filter((url) => url.pathname.endsWith("/points"));
  expect(points.map((url) => url.searchParams.get("width"))).toEqual(["1280"]);
});

it("loads the last steps in detail again when all was loaded anew, those that are the last by then", async () => {
  await world.begin();
  world.session.zoom(10, 20);
  await world.settle();
  world.asked = [];
  world.lastSteps = { from: 300, to: 900 };
  world.say({ type: "declaration", run: "r" });
  await world.settle();
  const froms = world.asked.filter((url) => url.pathname.endsWith("/points")).map((url) => url.searchParams.get("from"));
  expect(froms).toEqual([null, "300"]);
});
