import { expect, it } from "vitest";
import { runOf } from "./models";
import { fullNameOf, isCalled, nameOf } from "./runNames";

const RUN = runOf({ id: "r", project: "p", name: "run-7", label: "Best one", tags: ["Keep"], state: "running" });
const PLAIN = runOf({ id: "s", project: "p", name: "run-8" });

it("a run is called what a person calls it, else what its script does", () => {
  expect([nameOf(RUN), nameOf(PLAIN), fullNameOf(RUN), fullNameOf(PLAIN)]).toEqual(["Best one", "run-8", "p/Best one", "p/run-8"]);
});

it.each(["best", " KEEP ", "run-7", "p/run", "p/best", "running", ""])("a run is found by %j", (wanted) => {
  expect(isCalled(RUN, wanted)).toBe(true);
});

it("a run is not found by what it is not called", () => {
  expect(isCalled(RUN, "worst")).toBe(false);
});
