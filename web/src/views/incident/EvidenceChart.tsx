/** What the incident rests on, as a picture: the series that went first and the total, around the onset. */
import type { JSX } from "preact";
import {
  type Panel,
  TOTAL,
  type Window,
  onsetOf,
  panelOf,
  rangeText,
  referencesOf,
  windowOf,
} from "../../lib/evidence";
import { step } from "../../lib/format";
import { type Incident, symptomStep } from "../../lib/incidents";
import type { Alert, Run } from "../../lib/models";
import { usePage } from "../context";
import { useEvidence } from "./useEvidence";

const BOX = { width: 320, height: 46 };
/** Half of a mark. */
const ARM = 3;

interface Props {
  readonly incident: Incident;
  readonly alerts: readonly Alert[];
  readonly run: Run;
  /** the series above the total */
  readonly series: string;
}

export function EvidenceChart({ incident, alerts, run, series }: Props): JSX.Element {
  const infos = usePage().state.value.detail.series;
  const onset = onsetOf(incident, series);
  const window = windowOf(onset, symptomStep(incident));
  const hasTotal = series !== TOTAL && infos.some((info) => info.name === TOTAL);
  const names = hasTotal ? [series, TOTAL] : [series];
  const { points, fault } = useEvidence(run, names, window);
  if (points === null) return <p class="quiet evidence-chart">{fault ?? "The points around the onset are coming…"}</p>;
  return (
    <figure class="evidence-chart" data-testid="evidence-chart" data-series={series} data-onset={onset}>
      {names.map((name) => (
        <Plot
          key={name}
          name={name}
          panel={panelOf(points.get(name), window, onset, referencesOf(name, alerts, infos, window), BOX)}
        />
      ))}
      <Axis window={window} onset={onset} />
    </figure>
  );
}

function Plot({ name, panel }: { name: string; panel: Panel }): JSX.Element {
  return (
    <>
      <p class="evidence-head">
        <span class="evidence-name" title={name}>
          {name}
        </span>
        <span class="number quiet">{rangeText(panel)}</span>
      </p>
      <svg
        class="evidence-plot"
        viewBox={`0 -4 ${BOX.width} ${BOX.height + 8}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${name} around the onset: ${rangeText(panel)}`}
      >
        {panel.onset !== null && <path class="evidence-onset" d={`M${panel.onset} -4V${BOX.height + 4}`} />}
        {panel.lines.map((line) => (
          <path key={line.label} class={`evidence-${line.kind}`} d={`M0 ${line.y}H${BOX.width}`} />
        ))}
        <path class="evidence-line" d={panel.path} />
        {panel.dots.map(([x, y]) => (
          <path key={x} class="evidence-dot" d={`M${x} ${y}h0.01`} />
        ))}
        {panel.marks.map((x) => (
          <path key={x} class="evidence-mark" d={`M${x - ARM} -3l${2 * ARM} 7m0 -7l-${2 * ARM} 7`} />
        ))}
      </svg>
      {panel.lines.length > 0 && (
        <p class="evidence-key quiet number">
          {panel.lines.map((line) => (
            <span key={line.label}>
              <svg viewBox="0 0 16 6" aria-hidden="true">
                <path class={`evidence-${line.kind}`} d="M0 3h16" />
              </svg>{" "}
              {line.label}
            </span>
          ))}
        </p>
      )}
    </>
  );
}

function Axis({ window, onset }: { window: Window; onset: number }): JSX.Element {
  return (
    <figcaption class="evidence-axis quiet number">
      <span>step {step(window.from)}</span>
      <span>┆ onset {step(onset)}</span>
      <span>{step(window.to)}</span>
    </figcaption>
  );
}
