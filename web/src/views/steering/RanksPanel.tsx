/** The ranks: who is not finite since when, on top; who holds the others up; and each one's step time. */
import type { JSX } from "preact";
import { step } from "../../lib/format";
import { type Rank, firstBadOf, stragglerText, timeText } from "../../lib/ranks";
import { HealthLight } from "../HealthLight";
import { NotFinite } from "./NotFinite";

/** A run of hundreds of ranks: those that stand out are named above, of the others these are enough. */
const SHOWN = 16;

export function RanksPanel({ ranks }: { ranks: readonly Rank[] }): JSX.Element {
  const longest = ranks.reduce((most, one) => Math.max(most, one.stepS ?? 0), 0);
  const bad = firstBadOf(ranks);
  return (
    <section class="panel" aria-label="Ranks" data-testid="ranks">
      <h2>
        Ranks <span class="quiet number">{ranks.length} · time of a step</span>
      </h2>
      <NotFinite ranks={ranks} testid="ranks-not-finite" />
      {ranks
        .filter((one) => one.isStraggler)
        .map((one) => (
          <p key={one.rank} class="tone-warning number" data-testid="straggler">
            <HealthLight health="warning" /> {stragglerText(one, ranks)}
          </p>
        ))}
      <ul class="rank-rows">
        {ranks.slice(0, SHOWN).map((one) => (
          <Row key={one.rank} rank={one} longest={longest} isFirstBad={one === bad} />
        ))}
      </ul>
      {ranks.length > SHOWN && <p class="quiet">and {ranks.length - SHOWN} more</p>}
    </section>
  );
}

function Row({ rank, longest, isFirstBad }: { rank: Rank; longest: number; isFirstBad: boolean }): JSX.Element {
  const width = longest > 0 ? (100 * (rank.stepS ?? 0)) / longest : 0;
  return (
    <li class="rank-row number" data-testid={`rank-${rank.rank}`}>
      <span>{rank.rank}</span>
      <svg class="rank-bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        <rect width={width} height="8" />
      </svg>
      <span>
        {timeText(rank.stepS)}
        {rank.isStraggler && " ← straggler"}
        {rank.firstBadStep !== null && (isFirstBad ? " ← not finite first" : ` ← not finite since ${step(rank.firstBadStep)}`)}
      </span>
    </li>
  );
}
