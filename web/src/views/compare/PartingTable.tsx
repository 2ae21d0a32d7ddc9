/** Where each run parts from the first, quantity by quantity. */
import type { JSX } from "preact";
import type { Comparison } from "../../lib/compare";
import { RunSwatch } from "./RunSwatch";

export function PartingTable({ comparison }: { readonly comparison: Comparison }): JSX.Element {
  const [first, ...others] = comparison.runs;
  return (
    <section class="compare-part" aria-label="Where they part">
      <h2>Where they part from {first?.name}</h2>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="The table of partings">
        <table class="table compare-table" data-testid="compare-parting">
          <thead>
            <tr>
              <th scope="col">quantity</th>
              {others.map((run, i) => (
                <th key={run.id} scope="col">
                  <RunSwatch index={i + 1} /> {run.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {comparison.parting.map((parted) => (
              <tr key={parted.series} data-testid="compare-parted" data-series={parted.series}>
                <th scope="row">{parted.label}</th>
                {parted.pairs.map((pair) => (
                  <td key={pair.run} class={pair.at === null ? "quiet" : ""}>
                    {pair.at !== null && <span aria-hidden="true">≠ </span>}
                    {pair.text}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
