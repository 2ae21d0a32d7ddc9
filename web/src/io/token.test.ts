// @vitest-environment happy-dom
import { expect, it } from "vitest";
import { TokenBox } from "./token";

it("the token leaves the address, and what else it names stays", () => {
  sessionStorage.clear();
  const box = new TokenBox(sessionStorage);
  history.replaceState(null, "", "#run=other");
  expect([box.takeFromAddress(), box.token()]).toEqual([false, null]);
  history.replaceState(null, "", "#t=a%2Bb&run=r&from=1&to=2");
  expect([box.takeFromAddress(), box.token()]).toEqual([true, "a+b"]);
  expect(location.hash).toBe("#run=r&from=1&to=2");
  history.replaceState(null, "", "#t=x&home");
  box.takeFromAddress();
  expect(location.hash).toBe("#home");
});
