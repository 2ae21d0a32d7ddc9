/**
 * The lines of a chart with their values at the cross-hair, or the newest; pressing one hides or shows it.
 *
 * Where the column under the cross-hair folds several steps, the value is its lowest and highest.
 */
import type { JSX } from "preact";
import type { ChartSpec, Line } from "../charts/spec";
import { colourOf } from "../charts/theme";
import { share } from "../lib/format";
import { type Reading, readingText } from "../lib/reading";
import { readingsOf, stepsAtCursor, stepsText } from "./charting/readings";
import { usePage } from "./context";

export interface LegendProps {
  readonly spec: ChartSpec;
  readonly hidden: ReadonlySet<string>;
  readonly onToggle: (name: string) => void;
}

export function Legend({ spec, hidden, onToggle }: LegendProps): JSX.Element {
  const page = usePage();
  void page.pointsSeen.value;
  const steps = stepsAtCursor(page);
  const readings = readingsOf(page, spec, steps);
  const size = spec.canStack ? sizeOf(spec.lines, readings) : null;
  return (
    <ul class="legend" aria-label={`${spec.title}, values ${steps === null ? "now" : `at ${stepsText(steps)}`}`}>
      {steps !== null && <li class="legend-at number">{stepsText(steps)}</li>}
      {spec.lines.map((line, i) => (
        <Item
          key={line.name}
          line={line}
          reading={readings[i] ?? null}
          size={size}
          isHidden={hidden.has(line.name)}
          onToggle={() => onToggle(line.name)}
        />
      ))}
    </ul>
  );
}

/** The sum of magnitudes of all parts; null when one of them is not finite, or is not one value. */
function sizeOf(lines: readonly Line[], readings: readonly (Reading | null)[]): number | null {
  if (readings.some((reading) => reading !== null && reading.low < reading.high)) return null;
  const size = lines.reduce((sum, line, i) => (line.isTotal ? sum : sum + Math.abs(readings[i]?.last ?? 0)), 0);
  return Number.isFinite(size) && size > 0 ? size : null;
}

function Item(props: {
  line: Line;
  reading: Reading | null;
  size: number | null;
  isHidden: boolean;
  onToggle: () => void;
}): JSX.Element {
  const { line, reading, size, isHidden } = props;
  const theme = usePage().theme.value;
  const isBad = reading !== null && reading.flags !== 0;
  return (
    <li>
      <button
        type="button"
        class="legend-item"
        aria-pressed={!isHidden}
        title={`${line.name}: press to ${isHidden ? "show" : "hide"}`}
        onClick={props.onToggle}
      >
        <svg class="swatch" viewBox="0 0 18 8" aria-hidden="true">
          <line
            x1="0"
            y1="4"
            x2="18"
            y2="4"
            stroke={colourOf(theme, line.look)}
            stroke-width={line.isTotal ? 3 : 2.5}
            stroke-dasharray={line.look.dash.join(" ")}
          />
        </svg>
        <span class="legend-label">{line.label}</span>
        <span class={`legend-value number${isBad ? " tone-critical" : ""}`}>{readingText(reading)}</span>
        {size !== null && !line.isTotal && (
          <span class="legend-share number">{share(Math.abs(reading?.last ?? 0) / size)}</span>
        )}
      </button>
    </li>
  );
}
