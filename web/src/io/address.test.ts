// @vitest-environment happy-dom
import { beforeEach, expect, it, vi } from "vitest";
import { NEWEST } from "../lib/route";
import { Address } from "./address";

beforeEach(() => history.replaceState(null, "", "/page#"));

it("another run or view is a step back, a zoom and the run that was chosen by itself are not", () => {
  const pushed = vi.spyOn(history, "pushState");
  const address = new Address();
  address.show({ ...NEWEST, run: "r1" });
  address.show({ ...NEWEST, run: "r1", from: 10, to: 20 });
  expect([location.hash, pushed.mock.calls.length]).toEqual(["#run=r1&from=10&to=20", 0]);
  address.show({ view: "home" });
  address.show({ view: "compare", runs: ["r1", "r2"] });
  expect([location.hash, pushed.mock.calls.length]).toEqual(["#compare=r1,r2", 2]);
  address.show({ view: "compare", runs: ["r1", "r2"] });
  expect(pushed).toHaveBeenCalledTimes(2);
});

it("what is put into the tab is read", () => {
  const address = new Address();
  const seen: string[] = [];
  address.watch(() => seen.push(address.route().view));
  history.replaceState(null, "", "#home");
  window.dispatchEvent(new Event("popstate"));
  expect(seen).toEqual(["home"]);
});
