/** What differs between the declarations of the runs, path by path. */
import type { JSX } from "preact";
import type { Comparison } from "../../lib/compare";
import { RunSwatch } from "./RunSwatch";

export function ConfigDiff({ comparison }: { readonly comparison: Comparison }): JSX.Element {
  const { runs, differences, leftOut, same } = comparison;
  return (
    <section class="compare-part" aria-label="Differences of configuration">
      <h2>What differs in their configuration</h2>
      {differences.length === 0 ? (
        <p class="quiet">Nothing: {same} paths are the same.</p>
      ) : (
        <div class="table-scroll" tabIndex={0} role="region" aria-label="The table of differences">
          <table class="table compare-table" data-testid="compare-config">
            <thead>
              <tr>
                <th scope="col">path ({same} more are the same)</th>
                {runs.map((run, i) => (
                  <th key={run.id} scope="col">
                    <RunSwatch index={i} /> {run.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {differences.map(({ path, values }) => (
                <tr key={path} data-path={path}>
                  <th scope="row">
                    <code>{path}</code>
                  </th>
                  {runs.map((run) => (
                    <td key={run.id} class={values.has(run.id) ? "number" : "quiet"}>
                      {values.get(run.id) ?? "absent"}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {leftOut > 0 && <p class="quiet">{leftOut} more differ and are not listed.</p>}
    </section>
  );
}
