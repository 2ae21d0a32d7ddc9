/** Says what the arrow keys moved the cross-hair to, for who does not see it. */
import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import type { ChartSpec } from "../../charts/spec";
import { readingText } from "../../lib/reading";
import { usePage } from "../context";
import { readingsOf, stepsAtCursor, stepsText } from "./readings";

/** More values at once are not heard to their end. */
const SAID = 6;

export function CursorText({ spec, told }: { spec: ChartSpec; told: Signal<number> }): JSX.Element {
  const page = usePage();
  const steps = told.value === 0 ? null : stepsAtCursor(page);
  const readings = steps === null ? [] : readingsOf(page, spec, steps).slice(0, SAID);
  const said = readings.map((reading, i) => `${spec.lines[i]?.label ?? ""} ${readingText(reading)}`);
  return (
    <p class="only-heard" role="status">
      {steps === null ? "" : [stepsText(steps), ...said].join(", ")}
    </p>
  );
}
