/** Compare. */
import type { JSX } from "preact";

export function Compare({ runs }: { readonly runs: readonly string[] }): JSX.Element {
  return <p class="quiet waiting">{runs.join(", ")}</p>;
}
