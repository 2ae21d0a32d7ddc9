// @vitest-environment happy-dom
import { expect, it } from "vitest";
import { TokenBox } from "./token";

it("an address with a token that is put into an open tab signs in, and the token leaves the address", () => {
  sessionStorage.clear();
  const box = new TokenBox(sessionStorage);
  const seen: (string | null)[] = [];
  box.watchAddress((run) => seen.push(run));
  history.replaceState(null, "", "#run=other");
  window.dispatchEvent(new Event("hashchange"));
  expect([seen, box.token()]).toEqual([[], null]);
  history.replaceState(null, "", "#t=fresh&run=r");
  window.dispatchEvent(new Event("hashchange"));
  expect([seen, box.token()]).toEqual([["r"], "fresh"]);
  expect(location.hash).toBe("#run=r");
});
