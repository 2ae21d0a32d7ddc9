/** One run of the list: a row on a screen, a card on a phone. */
import type { JSX } from "preact";
import { live, rate, step } from "../../lib/format";
import { rateNow } from "../../lib/home";
import type { DrawnTotal } from "../../lib/homeSpark";
import type { Run } from "../../lib/models";
import { NEWEST, hashOf } from "../../lib/route";
import { nameOf } from "../../lib/runNames";
import type { Age, Link } from "../../lib/state";
import { HealthLight } from "../HealthLight";
import { usePage } from "../context";
import { AgeCell } from "./AgeCell";
import { TotalSpark } from "./TotalSpark";
import { dayText } from "./words";

interface HomeRowProps {
  readonly run: Run;
  readonly place: number;
  readonly isChosen: boolean;
  readonly drawn: DrawnTotal | undefined;
  readonly age: Age | undefined;
  readonly link: Link;
  readonly onChoose: (run: string, isStretched: boolean) => void;
}

export function HomeRow({ run, place, isChosen, drawn, age, link, onChoose }: HomeRowProps): JSX.Element {
  return (
    <tr
      class={isChosen ? "home-row home-row-chosen" : "home-row"}
      aria-rowindex={place}
      data-testid="home-run"
      data-run={run.id}
      data-health={run.health}
      data-state={run.state}
    >
      <td class="home-choose">
        <input
          type="checkbox"
          aria-label={`Choose ${nameOf(run)}`}
          checked={isChosen}
          onClick={(event) => onChoose(run.id, event.shiftKey)}
        />
      </td>
      <td class="home-health">
        <HealthLight health={run.health} />
        <span class="home-state">{run.state}</span>
      </td>
      <td class="home-name">
        <NameCell run={run} />
      </td>
      <td class="home-project" title={run.project}>
        {run.project}
      </td>
      <td class="home-stage" title={run.stage?.name ?? ""}>
        {run.stage?.name ?? ""}
      </td>
      <td class="home-step home-number">{step(run.step)}</td>
      <td class={`home-total home-number${isBroken(run.total) ? " tone-critical" : ""}`}>{live(run.total)}</td>
      <td class="home-rate home-number">{rate(rateNow(run))}</td>
      <td class="home-curve-cell">
        <TotalSpark drawn={drawn} />
      </td>
      <td class="home-alerts">
        <AlertCounts run={run} />
      </td>
      <td class="home-age home-number">
        <AgeCell run={run} age={age} link={link} />
      </td>
      <td class="home-began">{dayText(run.startedS)}</td>
      <td class="home-tags">
        <TagList tags={run.tags} />
      </td>
    </tr>
  );
}

function isBroken(total: number | null): boolean {
  return total !== null && !Number.isFinite(total);
}

/** A person's own name for it before the script's; leads to the run. */
function NameCell({ run }: { run: Run }): JSX.Element {
  const page = usePage();
  const route = { ...NEWEST, run: run.id };
  return (
    <>
      <a
        class="home-link"
        href={hashOf(route)}
        title={`${run.project}/${run.name}, ${run.device}`}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
          event.preventDefault();
          page.actions.go(route);
        }}
      >
        {nameOf(run)}
      </a>
      {run.label !== "" && <span class="quiet home-script-name">{run.name}</span>}
      {run.note !== "" && (
        <span class="badge" title={run.note}>
          note
        </span>
      )}
      {run.archived && <span class="badge">archived</span>}
    </>
  );
}

function AlertCounts({ run }: { run: Run }): JSX.Element {
  if (run.critical + run.warning === 0) return <span class="quiet">no alerts</span>;
  return (
    <>
      {run.critical > 0 && <span class="tone-critical">{run.critical} critical</span>}
      {run.warning > 0 && <span class="tone-warning">{run.warning} warning</span>}
    </>
  );
}

function TagList({ tags }: { tags: readonly string[] }): JSX.Element {
  return (
    <span class="home-tag-list" title={tags.join(", ")}>
      {tags.map((tag) => (
        <span key={tag} class="badge home-tag">
          {tag}
        </span>
      ))}
    </span>
  );
}
