/** Home. */
import type { JSX } from "preact";

export function Home(): JSX.Element {
  return <p class="quiet waiting">Loading…</p>;
}
