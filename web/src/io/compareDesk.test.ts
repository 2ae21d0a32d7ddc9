import { describe, expect, it, vi } from "vitest";
import { comparisonAnswer } from "../lib/testComparison";
import { HttpCompareDesk } from "./compareDesk";

describe("the compare desk", () => {
  it("names runs, axis, series and steps in the address, and nothing else", async () => {
    const get = vi.fn((path: string) => Promise.resolve<unknown>(path === "" ? null : comparisonAnswer()));
    const getPacked = vi.fn((path: string) => Promise.resolve<unknown>(path === "" ? null : { series: {} }));
    const desk = new HttpCompareDesk({ get, getPacked });
    const { signal } = new AbortController();
    const found = await desk.compare(["a/b", "c"], "stage", signal);
    expect(found.ok && found.value.runs).toHaveLength(2);
    expect(get.mock.calls[0]?.[0]).toBe("api/compare?run=a%2Fb&run=c&axis=stage");
    const names = Array.from({ length: 31 }, (_, i) => `loss/${i}`);
    expect(await desk.points("a/b", names, { from: 3, to: 9 }, signal)).toEqual({ ok: true, value: new Map() });
    expect(getPacked).toHaveBeenCalledTimes(2);
    expect(getPacked.mock.calls[1]?.[0]).toBe("api/runs/a%2Fb/points?series=loss%2F30&width=1500&from=3&to=9");
  });

  it("turns an answer that cannot be read into a sentence", async () => {
    const desk = new HttpCompareDesk({ get: () => Promise.reject(new Error("gone")), getPacked: () => Promise.resolve(3) });
    const { signal } = new AbortController();
    expect(await desk.compare(["a", "b"], "step", signal)).toEqual({ ok: false, fault: "gone" });
    expect((await desk.points("a", ["x"], null, signal)).ok).toBe(false);
  });
});
