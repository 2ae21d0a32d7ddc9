/** Which run is better in what, and why; "equal" where nobody is beyond noise. */
import type { JSX } from "preact";
import type { Comparison, VerdictRow } from "../../lib/compare";
import { RunSwatch } from "./RunSwatch";

export function VerdictTable({ comparison }: { readonly comparison: Comparison }): JSX.Element {
  const { runs, verdict } = comparison;
  const names = new Map(runs.map((run) => [run.id, run.name]));
  return (
    <section class="compare-part" aria-label="Verdict">
      <h2>Verdict</h2>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="The table of the verdict">
        <table class="table compare-table" data-testid="compare-verdict">
          <thead>
            <tr>
              <th scope="col">question</th>
              {runs.map((run, i) => (
                <th key={run.id} scope="col">
                  <RunSwatch index={i} /> {run.name}
                </th>
              ))}
              <th scope="col">better</th>
            </tr>
          </thead>
          <tbody>
            {verdict.map((row) => (
              <Row key={row.key} row={row} names={names} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Row({ row, names }: { readonly row: VerdictRow; readonly names: ReadonlyMap<string, string> }): JSX.Element {
  const winners = row.winners.map((run) => names.get(run) ?? run).join(", ");
  return (
    <tr data-testid="compare-row" data-key={row.key}>
      <th scope="row">{row.title}</th>
      {row.cells.map((cell) => {
        const isBest = !row.isEqual && row.winners.includes(cell.run);
        return (
          <td key={cell.run} class={isBest ? "is-best" : ""}>
            {isBest && <span title="better">✓ </span>}
            <span class={`number${cell.isBad ? " tone-critical" : ""}`}>{cell.text}</span>
            {cell.detail !== "" && <span class="quiet compare-detail">{cell.detail}</span>}
          </td>
        );
      })}
      <td>
        {row.isEqual ? "equal" : winners === "" ? "not known" : <strong>{winners}</strong>}
        <span class="quiet compare-detail">{row.why}</span>
      </td>
    </tr>
  );
}
