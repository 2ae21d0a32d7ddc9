/** What will begin or end by itself from here to the end, if nothing more is done. */
import type { JSX } from "preact";
import { step } from "../../lib/format";
import { type Schedule, changeLines } from "../../lib/schedule";

const SHOWN = 8;

export function ScheduleList({ schedule }: { schedule: Schedule }): JSX.Element {
  const { lines, more } = changeLines(schedule, SHOWN);
  return (
    <details class="schedule" open data-testid="schedule">
      <summary>From here to the end, as things are</summary>
      {lines.length === 0 && <p class="quiet">Nothing changes by itself any more.</p>}
      <ol>
        {lines.map((line) => (
          <li key={line.step}>
            <span class="number">{step(line.step)}</span> <span>{line.text}</span>
          </li>
        ))}
      </ol>
      {more > 0 && <p class="quiet">and {more} more</p>}
    </details>
  );
}
