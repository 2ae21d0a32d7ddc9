// @vitest-environment happy-dom
import { expect, it } from "vitest";
import { runOf } from "../lib/models";
import { RunChips } from "./compare/RunChips";
import { RunPicker } from "./compare/RunPicker";
import { RunList } from "./RunList";
import { dispatch, root, show, useWorld } from "./testWorld";
import { act } from "preact/test-utils";

useWorld();

const run = (id: string, more: Record<string, unknown> = {}): Parameters<typeof dispatch>[0] => ({
  type: "run",
  run: runOf({ id, project: "p", name: `script-${id}`, state: "finished", ...more }),
  atMs: 0,
});
const shown = (): string[] => [...root.querySelectorAll<HTMLElement>("[data-run]")].map((item) => item.dataset["run"] ?? "").sort();

async function filter(text: string): Promise<void> {
  await act(() => {
    const field = root.querySelector<HTMLInputElement>('input[type="search"]');
    if (field === null) return;
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

it("the list of runs calls them as a person does, finds them by that, and leaves out what is put away", async () => {
  await dispatch(run("a", { label: "Best", tags: ["keep"] }), run("b"), run("c", { archived: true }));
  await show(<RunList />);
  expect(root.textContent).toContain("p/Best");
  expect(shown()).toEqual(["a", "b", "r"]);
  for (const wanted of ["best", "keep", "script-a"]) {
    await filter(wanted);
    expect(shown()).toEqual(["a"]);
  }
  await dispatch({ type: "select", run: "c" });
  await filter("");
  expect(shown()).toEqual(["a", "b", "c", "r"]);
});

it("so does the choice of what is compared, which keeps what is chosen", async () => {
  await dispatch(run("a", { label: "Best" }), run("c", { archived: true }), run("d", { archived: true }));
  await show(<RunPicker runs={["c"]} onPicked={() => undefined} onClose={() => undefined} />);
  const picked = [...document.querySelectorAll<HTMLElement>('[data-testid="compare-pick"]')].map((item) => item.dataset["run"]);
  expect(picked.sort()).toEqual(["a", "c", "r"]);
  expect(document.body.textContent).toContain("p/Best");
  await show(<RunChips runs={["a", "r"]} />);
  expect(root.textContent).toContain("p/Best");
});
