/** What an alert rests on: the values around its step, the formula with its numbers, and the numbers themselves. */
import type { JSX } from "preact";
import { short, step, words } from "../lib/format";
import type { Alert } from "../lib/models";
import { Sparkline } from "./Sparkline";

export function AlertEvidence({ alert }: { alert: Alert }): JSX.Element {
  return (
    <details class="evidence">
      <summary>Evidence</summary>
      {alert.values.length > 1 && (
        <Sparkline values={alert.values} label={`${alert.series} around step ${step(alert.step)}`} />
      )}
      {!alert.message.includes(alert.evidenceText) && <p>{alert.evidenceText}</p>}
      <dl class="facts">
        {alert.evidence.map(([name, value]) => (
          <div key={name}>
            <dt>{words(name)}</dt>
            <dd class="number">{short(value)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
