// @vitest-environment happy-dom
import { describe, expect, it, vi } from "vitest";
import { FakeSocket, type World, eachTestInItsWorld } from "./testServer";

let world: World;
eachTestInItsWorld((made) => {
  world = made;
});

describe("the list of runs", () => {
  const NOT_HERE = "The run that the address names is not here: it was deleted, or belongs to another server.";
  const ids = (): string[] => [...world.state.order].sort();

  it("takes nothing back of what was told while it was under way", async () => {
    world.runs = [{ id: "r", state: "running" }, { id: "s", state: "running" }, { id: "t", state: "running" }];
    world.put("loss/total", [0, 1]);
    await world.begin();
    world.tellsMeanwhile = [
      { type: "gone", run: "s" },
      { type: "run", run: { id: "t", state: "finished" } },
      { type: "run", run: { id: "u", state: "running" } },
    ];
    await world.comeBack();
    expect([ids(), world.state.runs["t"]?.state]).toEqual([["r", "t", "u"], "finished"]);
    await world.comeBack();
    expect([ids(), world.state.runs["t"]?.state]).toEqual([["r", "s", "t"], "running"]);
  });

  it("that lacks the run of the address says so, and another is shown", async () => {
    world.runs = [{ id: "s", state: "finished" }];
    await world.begin();
    expect([world.state.problem, world.missing, world.state.selected]).toEqual([NOT_HERE, 1, "s"]);
    await world.comeBack();
    expect(world.missing).toBe(1);
  });

  it("says nothing of an address that it has, nor of a run that is deleted later", async () => {
    world.runs = [{ id: "r", state: "running" }, { id: "s", state: "running" }];
    await world.begin();
    await world.tell({ type: "gone", run: "r" });
    await world.comeBack();
    expect(world.missing).toBe(0);
  });

  it("that is there already is enough to say that a run is not, but not one that may be old", async () => {
    await world.begin();
    FakeSocket.newest?.close();
    world.session.restart("new");
    expect(world.missing).toBe(0);
    world.runs = [...world.runs, { id: "new", state: "running" }];
    await vi.advanceTimersByTimeAsync(500);
    await world.accept();
    expect([world.missing, world.state.selected]).toEqual([0, "new"]);
    world.session.restart("nowhere");
    expect([world.missing, world.state.problem, world.state.selected]).toEqual([1, NOT_HERE, "new"]);
  });

  it("waits for the run of the address, whatever is told meanwhile", async () => {
    world.tellsMeanwhile = [{ type: "run", run: { id: "s", state: "running" } }];
    const shown = vi.spyOn(world.store, "clear");
    await world.begin();
    expect([world.state.selected, shown.mock.calls.length]).toEqual(["r", 1]);
  });

  it("shows first what is not put away, and what is where there is nothing else", async () => {
    world.runs = [{ id: "old", state: "running", archived: true, started_s: 9 }, { id: "new", state: "finished", started_s: 1 }];
    world.session.start(null);
    await world.settle();
    await world.accept();
    expect(world.state.selected).toBe("new");
    await world.tell({ type: "gone", run: "new" });
    expect(world.state.selected).toBe("old");
  });
});
