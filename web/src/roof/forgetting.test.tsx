// @vitest-environment happy-dom
import { signal } from "@preact/signals";
import { type JSX, options, render } from "preact";
import { act } from "preact/test-utils";
import { expect, it } from "vitest";
import { forgetOldTrees } from "./forgetting";

const count = signal(0);
const isThere = signal(true);

function Inner(): JSX.Element {
  return (
    <>
      <b>{`${count.value}`}</b>
      {isThere.value && <i>there</i>}
    </>
  );
}

it("lets go of the trees before, and what is on the screen goes on", async () => {
  forgetOldTrees(options);
  const written = <Inner />; // held by the paragraph, which is rendered once
  const place = document.createElement("div");
  await act(() => render(<p>{written}</p>, place));
  const node = written as { __k?: unknown };
  expect(node.__k).toHaveLength(2);
  for (const [at, there] of [
    [1, true],
    [2, false],
    [3, true],
  ] as const) {
    await act(() => {
      count.value = at;
      isThere.value = there;
    });
    expect(place.textContent).toBe(`${String(at)}${there ? "there" : ""}`);
    expect(place.querySelectorAll("p > *")).toHaveLength(there ? 2 : 1);
    expect(node.__k).toBeNull();
  }
  await act(() => render(<p>{written}</p>, place));
  expect(place.textContent).toBe("3there");
  await act(() => render(null, place));
  expect(place.childNodes).toHaveLength(0);
});
