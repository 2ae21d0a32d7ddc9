/** The lines of a chart with their values at the cross-hair, or the newest; pressing one hides or shows it. */
import type { JSX } from "preact";
import type { ChartSpec, Line } from "../charts/spec";
import { colourOf } from "../charts/theme";
import { live, share, step } from "../lib/format";
import { usePage } from "./context";

export interface LegendProps {
  readonly spec: ChartSpec;
  readonly hidden: ReadonlySet<string>;
  readonly onToggle: (name: string) => void;
}

export function Legend({ spec, hidden, onToggle }: LegendProps): JSX.Element {
  const page = usePage();
  void page.pointsSeen.value;
  const at = page.cursor.value;
  const values = spec.lines.map((line) => {
    const buffer = page.store.buffers.get(line.name);
    return at === null ? (buffer?.latest() ?? null) : (buffer?.valueAt(at) ?? null);
  });
  const size = spec.canStack ? sizeOf(spec.lines, values) : null;
  return (
    <ul class="legend" aria-label={`${spec.title}, values ${at === null ? "now" : `at step ${step(Math.round(at))}`}`}>
      {spec.lines.map((line, i) => (
        <Item
          key={line.name}
          line={line}
          value={values[i] ?? null}
          size={size}
          isHidden={hidden.has(line.name)}
          onToggle={() => onToggle(line.name)}
        />
      ))}
    </ul>
  );
}

/** The sum of magnitudes of all parts; null when one of them is not finite. */
function sizeOf(lines: readonly Line[], values: readonly (number | null)[]): number | null {
  const size = lines.reduce((sum, line, i) => (line.isTotal ? sum : sum + Math.abs(values[i] ?? 0)), 0);
  return Number.isFinite(size) && size > 0 ? size : null;
}

function Item(props: {
  line: Line;
  value: number | null;
  size: number | null;
  isHidden: boolean;
  onToggle: () => void;
}): JSX.Element {
  const { line, value, size, isHidden } = props;
  const theme = usePage().theme.value;
  const isBad = value !== null && !Number.isFinite(value);
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
        <span class={`legend-value number${isBad ? " tone-critical" : ""}`}>{live(value)}</span>
        {size !== null && !line.isTotal && (
          <span class="legend-share number">{share(Math.abs(value ?? 0) / size)}</span>
        )}
      </button>
    </li>
  );
}
