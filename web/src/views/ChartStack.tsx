/** All charts of the run under one x axis, and what of it they show. */
import type { JSX } from "preact";
import type { Range } from "../lib/fold";
import { step } from "../lib/format";
import { type State, isOver } from "../lib/state";
import { ChartPanel } from "./ChartPanel";
import { usePage } from "./context";
import { detailText } from "./DetailEntry";
import { Switch } from "./Switch";

const FOLLOWED: Readonly<Record<string, Range>> = {
  "whole run": { kind: "all" },
  "last 1000": { kind: "last", steps: 1000 },
  "last 200": { kind: "last", steps: 200 },
};

export function ChartStack(): JSX.Element {
  const page = usePage();
  const charts = page.charts.value;
  const { detail } = page.state.value;
  return (
    <section class="charts" id="charts" aria-label="Charts">
      <RangeBar />
      {charts.map((spec) => (
        <ChartPanel key={`${page.state.value.selected ?? ""} ${spec.id}`} spec={spec} />
      ))}
      {charts.length === 0 && (
        <p class="quiet waiting">
          {detail.isLoaded ? "No points yet. The charts begin with the first step." : "Loading…"}
        </p>
      )}
    </section>
  );
}

function RangeBar(): JSX.Element {
  const page = usePage();
  const range = page.range.value;
  const at = page.cursor.value;
  return (
    <div class="range-bar">
      <Switch
        label="Steps shown"
        options={Object.keys(FOLLOWED)}
        value={nameOf(range)}
        onPick={(name) => page.actions.setRange(FOLLOWED[name] ?? { kind: "all" })}
      />
      {range.kind === "fixed" ? (
        <span class="range-text number">
          steps {step(Math.ceil(range.from))} to {step(Math.floor(range.to))}
        </span>
      ) : (
        <span class="range-text">{followText(page.state.value)}</span>
      )}
      <DetailNote />
      {range.kind === "fixed" && (
        <button type="button" class="button button-small" onClick={() => page.actions.setRange({ kind: "all" })}>
          back to live
        </button>
      )}
      <span class="range-cursor number">
        {at === null ? (
          <span class="range-hint">drag to zoom, double-click to follow</span>
        ) : (
          `step ${step(Math.round(at))}`
        )}
      </span>
    </div>
  );
}

/** The sampling in force, where it is not the usual one. */
function DetailNote(): JSX.Element | null {
  const { selected, runs } = usePage().state.value;
  const run = selected === null ? undefined : runs[selected];
  const said = run === undefined || isOver(run) ? null : detailText(run);
  return said === null ? null : (
    <span class="range-detail number" data-testid="detail-until">
      {said}
    </span>
  );
}

function followText({ selected, runs, detail }: State): string {
  if (!detail.hasHistory) return "history is loading…";
  return selected !== null && runs[selected]?.state === "running" ? "live" : "";
}

function nameOf(range: Range): string {
  if (range.kind === "all") return "whole run";
  return range.kind === "last" ? `last ${range.steps}` : "";
}
