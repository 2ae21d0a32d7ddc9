// @vitest-environment happy-dom
import { expect, it, vi } from "vitest";
import { Address } from "../io/address";
import type { Session } from "../io/session";
import { TokenBox } from "../io/token";
import { alertOf, runOf } from "../lib/models";
import { NEWEST } from "../lib/route";
import { reduce } from "../lib/state";
import { Journeys } from "./journeys";
import { newSignals } from "./signals";

it("an address of a run that is not here names what is shown instead, and its alert is not waited for", async () => {
  const signals = newSignals({
    route: { ...NEWEST, run: "gone", alert: "x" },
    storage: localStorage,
    nowMs: 0,
    bell: "asks",
    systemIsDark: false,
  });
  const select = vi.fn();
  const journeys = new Journeys({
    signals,
    address: new Address(),
    box: new TokenBox(sessionStorage),
    session: () => ({ select, restart: select }) as unknown as Session,
    lastStep: () => null,
    say: () => undefined,
  });
  signals.state.value = reduce(signals.state.value, { type: "run", run: runOf({ id: "r" }), atMs: 0 });
  signals.state.value = reduce(signals.state.value, { type: "select", run: "r" });
  journeys.missing();
  expect(signals.route.value).toEqual({ ...NEWEST, run: "r" });
  signals.state.value = reduce(signals.state.value, { type: "run", run: runOf({ id: "gone" }), atMs: 0 });
  signals.state.value = reduce(signals.state.value, { type: "alert", alert: alertOf({ id: "x", run: "gone" }) });
  journeys.follow(signals.state.value);
  await Promise.resolve();
  expect(select).not.toHaveBeenCalled();
});
