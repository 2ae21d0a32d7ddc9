// @vitest-environment happy-dom
import { describe, expect, it, vi } from "vitest";
import type { Buckets } from "../../lib/buckets";
import { type CompareDesk, comparisonOf } from "../../lib/compare";
import { comparisonAnswer } from "../../lib/testComparison";
import { NASTY, find, root, show, useWorld } from "../testWorld";
import { ConfigDiff } from "./ConfigDiff";
import { DecisionTree } from "./DecisionTree";
import { CompareModel } from "./model";
import { PartingTable } from "./PartingTable";
import { VerdictTable } from "./VerdictTable";

useWorld();

const COMPARISON = comparisonOf(comparisonAnswer());

function one(step: number, value: number): Buckets {
  const column = (number: number): Float64Array => Float64Array.of(number);
  const none = column(0);
  const same = column(value);
  return { step: column(step), min: same, max: same, mean: same, last: same, nan: none, posInf: none, negInf: none, count: column(1) };
}

function deskOf(changes: Partial<CompareDesk> = {}): CompareDesk {
  return {
    compare: () => Promise.resolve({ ok: true, value: COMPARISON }),
    points: (run) => Promise.resolve({ ok: true, value: new Map([["loss/ce", one(7, run === "a" ? 1 : 2)]]) }),
    ...changes,
  };
}

describe("the compare view", () => {
  it("says who is better, in words and shape, and what is not finite", async () => {
    await show(<VerdictTable comparison={COMPARISON} />);
    const cells = [...(find("compare-row")?.querySelectorAll("td") ?? [])];
    expect(cells.map((cell) => cell.className)).toEqual(["", "is-best", ""]);
    expect(cells[0]?.querySelector(".tone-critical")?.textContent).toBe("NaN");
    expect(cells[1]?.textContent).toContain("✓ 0.5");
    expect(cells[2]?.textContent).toContain("new: 0.5 against NaN of old.");
  });

  it("walks the tree, and says what it did not ask and what to mind", async () => {
    await show(<DecisionTree comparison={COMPARISON} />);
    const said = find("compare-tree")?.textContent ?? "";
    expect(said).toContain("new instead of old?");
    expect(said).toContain("Better accuracy? ✓ yes");
    expect(said.match(/not asked/g)).toHaveLength(2);
    expect(said).toContain("But: old broke itself.");
  });

  it("takes names and values from the wire as text", async () => {
    const rows = [{ path: NASTY, values: { a: NASTY } }];
    const found = comparisonOf(comparisonAnswer({ config: { rows, left_out: 3, same: 0 } }));
    await show(
      <>
        <ConfigDiff comparison={found} />
        <PartingTable comparison={found} />
      </>,
    );
    expect(root.querySelector("img")).toBeNull();
    expect(find("compare-config")?.textContent).toContain(NASTY);
    expect(root.textContent).toContain("absent");
    expect(root.textContent).toContain("3 more differ");
  });
});

describe("what the compare view holds", () => {
  it("puts each run's points under its own key, and asks for the zoomed window", async () => {
    const points = vi.fn(deskOf().points);
    const model = new CompareModel(deskOf({ points }), () => undefined);
    await model.load(["a", "b"], true);
    expect([model.store.buffers.get("0:loss/ce")?.valueAt(7), model.store.buffers.get("1:loss/ce")?.valueAt(7)]).toEqual([1, 2]);
    model.setRange({ kind: "fixed", from: 5, to: 20 });
    await vi.waitFor(() => expect(model.store.zoomed?.from).toBe(5));
    expect(points.mock.calls.at(-1)?.[2]).toEqual({ from: 4, to: 21 });
  });

  it("keeps what was there beside a refusal, and asks nothing for one run alone", async () => {
    const compare = vi.fn(deskOf().compare);
    const model = new CompareModel(deskOf({ compare }), () => undefined);
    await model.load(["a", "b"], true);
    compare.mockResolvedValueOnce({ ok: false, fault: "No stage has the same name." });
    await model.load(["a", "b"], false);
    expect([model.fault.value, model.shown.value]).toEqual(["No stage has the same name.", COMPARISON]);
    await model.load(["a"], true);
    expect([compare.mock.calls.length, model.shown.value, model.fault.value]).toEqual([2, null, null]);
  });

  it("throws an answer away that nobody waits for any more", async () => {
    let answer: (value: Awaited<ReturnType<CompareDesk["compare"]>>) => void = () => undefined;
    const slow: CompareDesk["compare"] = () => new Promise((resolve) => (answer = resolve));
    const model = new CompareModel(deskOf({ compare: slow }), () => undefined);
    const loading = model.load(["a", "b"], true);
    model.end();
    answer({ ok: true, value: COMPARISON });
    await loading;
    expect(model.shown.value).toBeNull();
  });
});
