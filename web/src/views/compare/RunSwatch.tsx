/** The line by which a run is told apart on every chart. */
import type { JSX } from "preact";
import { colourOf } from "../../charts/theme";
import { runLook } from "../../lib/compareLook";
import { usePage } from "../context";

export function RunSwatch({ index }: { readonly index: number }): JSX.Element {
  const its = runLook(index);
  return (
    <svg class="swatch" viewBox="0 0 26 8" aria-hidden="true">
      <line
        x1="0"
        y1="4"
        x2="26"
        y2="4"
        stroke={colourOf(usePage().theme.value, its)}
        stroke-width="2.5"
        stroke-dasharray={its.dash.join(" ")}
      />
    </svg>
  );
}
