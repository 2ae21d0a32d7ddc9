/** Runs beside each other: the verdict and the tree's answer first, then the curves, then what differs. */
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { usePage } from "../context";
import { ComparedCharts } from "./ComparedCharts";
import { CompareBar } from "./CompareBar";
import { ConfigDiff } from "./ConfigDiff";
import { DecisionTree } from "./DecisionTree";
import { CompareModel } from "./model";
import { PartingTable } from "./PartingTable";
import { RunChips } from "./RunChips";
import { VerdictTable } from "./VerdictTable";

/** Who still trains is compared anew so often. */
const AGAIN_MS = 10_000;

export function Compare({ runs }: { readonly runs: readonly string[] }): JSX.Element {
  const page = usePage();
  const model = useMemo(() => new CompareModel(page.desks.compare, () => page.loop.invalidate("now")), [page]);
  const axis = model.axis.value;
  const asked = runs.join("\n");
  useEffect(() => {
    const load = (isNew: boolean): void => void model.load(asked === "" ? [] : asked.split("\n"), isNew);
    load(true);
    const again = window.setInterval(() => {
      if (model.shown.value?.runs.some(({ state }) => state === "running") === true && !model.isLoading.value) load(false);
    }, AGAIN_MS);
    return () => {
      window.clearInterval(again);
      model.end();
    };
  }, [model, asked, axis]);
  const comparison = model.shown.value;
  return (
    <main class="compare" data-testid="compare">
      <h1 class="compare-title">Compare runs</h1>
      <RunChips runs={runs} />
      {runs.length < 2 && (
        <p class="quiet">Choose two to eight runs. The first one is what the others are compared with.</p>
      )}
      {model.fault.value !== null && (
        <p class="fault" role="alert" data-testid="compare-fault">
          {model.fault.value}
        </p>
      )}
      {comparison === null && model.isLoading.value && <p class="quiet waiting">Comparing…</p>}
      {runs.length > 1 && <CompareBar model={model} />}
      {comparison !== null && (
        <>
          <div class="compare-top">
            <VerdictTable comparison={comparison} />
            <DecisionTree comparison={comparison} />
          </div>
          <PartingTable comparison={comparison} />
          <ComparedCharts model={model} />
          <ConfigDiff comparison={comparison} />
        </>
      )}
    </main>
  );
}
