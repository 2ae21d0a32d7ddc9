/** What an alert foretells of its series; nothing where it foretells nothing. */
import type { JSX } from "preact";
import { forecastText } from "../lib/forecast";
import type { Alert } from "../lib/models";

export function ForecastLine({ alert }: { alert: Alert }): JSX.Element | null {
  const said = alert.forecast === null ? "" : forecastText(alert.forecast);
  if (said === "") return null;
  return (
    <p class="forecast number" data-testid="forecast">
      <strong>{alert.series}</strong> {said}
    </p>
  );
}
