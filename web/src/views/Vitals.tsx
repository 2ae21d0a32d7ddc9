/** The vital signs of the run on the screen: one line that does not move as its numbers change. */
import type { ComponentChildren, JSX } from "preact";
import { ABSENT, live, rate, step } from "../lib/format";
import { guardStateWord, guardText } from "../lib/guard";
import type { Run } from "../lib/models";
import { ageAt, ageWord, isOver } from "../lib/state";
import { usePage } from "./context";
import { HealthLight } from "./HealthLight";
import { NotFinite } from "./steering/NotFinite";

/** A frame or two under way is no news; more means that the trainer waits for the server. */
const USUAL_QUEUE = 500;

export function Vitals({ run }: { run: Run }): JSX.Element {
  const page = usePage();
  // Points come sooner and more often than the run's own message.
  void page.pointsSeen.value;
  const { buffers } = page.store;
  const total = buffers.get("loss/total");
  const now = total !== undefined && total.lastStep() >= (run.step ?? -1);
  const at = Math.max(run.step ?? -1, total?.lastStep() ?? -1);
  const gradNorm = buffers.get("grad_norm/total")?.latest() ?? run.gradNorm;
  const isCut = run.state === "lost" || run.state === "crashed";
  const isStill = isCut || isOver(run) || page.state.value.link === "down";
  const isGuarded = run.guard !== null || run.trips > 0;
  return (
    <section
      class={`vitals${isGuarded ? " vitals-guarded" : ""}${isStill ? " vitals-still" : ""}`}
      aria-label="Vital signs"
      data-still={isStill}
    >
      <Vital name="State" testid="vital-state" tone={isCut ? "critical" : "plain"}>
        <HealthLight health={run.health} /> {run.state}
      </Vital>
      <Vital name="Step" testid="vital-step">
        {at < 0 ? ABSENT : step(at)}
      </Vital>
      <Vital name="Stage" testid="vital-stage" isWide>
        <span title={run.stage?.name}>{run.stage?.name ?? ABSENT}</span>
      </Vital>
      <Vital name="Total loss" testid="vital-total">
        <Number value={now ? total.latest() : run.total} />
      </Vital>
      <Vital name="Grad norm" testid="vital-grad-norm">
        <Number value={gradNorm} />
      </Vital>
      <Vital name="Steps/s" testid="vital-rate">
        {isStill ? ABSENT : rate(run.stepsPerS)}
      </Vital>
      <DataAge run={run} />
      <Vital name="Alerts" testid="vital-alerts">
        <Alerts run={run} />
      </Vital>
      {isGuarded && <GuardState run={run} />}
      <Vital name="Gaps · dropped" testid="vital-gaps">
        {run.gaps} · {run.pointsDropped}
        {run.pointsQueued > USUAL_QUEUE && <span class="vital-note"> ({run.pointsQueued} queued)</span>}
      </Vital>
      <NotFinite ranks={run.ranks} testid="vital-not-finite" />
    </section>
  );
}

function DataAge({ run }: { run: Run }): JSX.Element {
  const page = usePage();
  const { link, ages } = page.state.value;
  const told = ageAt(ages[run.id], page.nowMs.value);
  // By the clock: points come with every message.
  const cameMs = page.pointsAtMs.peek();
  const seen = cameMs === null ? null : (page.nowMs.value - cameMs) / 1000;
  const age = seen === null ? told : told === null ? seen : Math.min(told, Math.max(0, seen));
  const word = ageWord(link, run, age);
  return (
    <Vital name="Data age" testid="vital-age" tone={word.tone} isWide={word.tone === "critical"}>
      <span title={word.text}>{word.text}</span>
    </Vital>
  );
}

function GuardState({ run: { guard, trips } }: { run: Run }): JSX.Element {
  const guardState = guard === null ? ABSENT : guardStateWord(guard);
  return (
    <Vital name="Guard" testid="vital-guard">
      <span title={guard === null ? "" : guardText(guard)}>
        {trips === 0 ? (
          guardState
        ) : (
          <span data-testid="vital-trips">
            {step(trips)} {trips === 1 ? "trip" : "trips"}
          </span>
        )}
      </span>
    </Vital>
  );
}

function Alerts({ run }: { run: Run }): JSX.Element {
  if (run.critical + run.warning === 0) return <>none</>;
  return (
    <>
      <Count severity="critical" count={run.critical} />
      <Count severity="warning" count={run.warning} />
    </>
  );
}

function Count({ severity, count }: { severity: "critical" | "warning"; count: number }): JSX.Element | null {
  if (count === 0) return null;
  return (
    <span class={`vital-count tone-${severity}`} title={`${count} ${severity}`}>
      <HealthLight health={severity} /> {count}
    </span>
  );
}

function Number({ value }: { value: number | null }): JSX.Element {
  const isBad = value !== null && !globalThis.Number.isFinite(value);
  return <span class={isBad ? "tone-critical" : ""}>{live(value)}</span>;
}

function Vital(props: {
  name: string;
  testid: string;
  tone?: string;
  isWide?: boolean;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <div class={`vital${props.isWide ? " vital-wide" : ""}`}>
      <span class="vital-name">{props.name}</span>
      <span class={`vital-value tone-${props.tone ?? "plain"}`} data-testid={props.testid}>
        {props.children}
      </span>
    </div>
  );
}
