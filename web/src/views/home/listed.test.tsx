// @vitest-environment happy-dom
import { act } from "preact/test-utils";
import { beforeEach, expect, it, vi } from "vitest";
import { runOf } from "../../lib/models";
import { dispatch, find, press, root, show, type, useWorld } from "../testWorld";
import { Home } from "./Home";

useWorld();
beforeEach(() => sessionStorage.clear());

const runs = ["a", "b"].map((id) => runOf({ id, project: "p", name: `run-${id}`, state: "finished" }));
const chosen = (): string => find("home-chosen")?.textContent ?? "";
const rows = (): number => root.querySelectorAll('[data-testid="home-run"]').length;
/** the list is calm, and follows the state in a moment */
const calmed = (): Promise<void> => act(() => new Promise((resolve) => setTimeout(resolve, 300)));

it("what is no longer listed is no longer chosen", async () => {
  await dispatch({ type: "runs", runs, atMs: 0 });
  await show(<Home />);
  await press("home-choose-all");
  expect([chosen(), rows()]).toEqual(["2 chosen", 2]);
  await type("home-search", "run-a");
  expect([chosen(), rows()]).toEqual(["1 chosen", 1]);
  await type("home-search", "");
  expect([chosen(), rows()]).toEqual(["1 chosen", 2]);
  await dispatch(...runs.map((run) => ({ type: "run", run: { ...run, archived: true }, atMs: 0 }) as const));
  await vi.waitFor(() => calmed().then(() => expect(chosen()).toBe("None chosen")));
});
