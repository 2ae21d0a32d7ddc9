/** What of the run the charts show, and what can be asked about it. */
import type { JSX } from "preact";
import { type Range, stepsWithin } from "../lib/fold";
import { step } from "../lib/format";
import { type State, isOver } from "../lib/state";
import { Fidelity } from "./charting/Fidelity";
import { stepsAtCursor, stepsText } from "./charting/readings";
import { SmoothingField } from "./charting/SmoothingField";
import { usePage } from "./context";
import { detailText } from "./DetailEntry";
import { Switch } from "./Switch";
import { shownWindow } from "./charting/windows";

const FOLLOWED: Readonly<Record<string, Range>> = {
  "whole run": { kind: "all" },
  "last 1000": { kind: "last", steps: 1000 },
  "last 200": { kind: "last", steps: 200 },
};

export function RangeBar(): JSX.Element {
  const page = usePage();
  const range = page.range.value;
  const at = stepsAtCursor(page);
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
      <Fidelity />
      <DetailNote />
      {range.kind === "fixed" && (
        <button type="button" class="button button-small" onClick={() => page.actions.setRange({ kind: "all" })}>
          back to live
        </button>
      )}
      <ExplainButton />
      <SmoothingField />
      <span class="range-cursor number" data-testid="cursor-step">
        {at === null ? (
          <span class="range-hint">drag to zoom</span>
        ) : (
          stepsText(at)
        )}
      </span>
    </div>
  );
}

/** Who moved the total over what is on the screen; what a drag selected is on the screen. */
function ExplainButton(): JSX.Element | null {
  const page = usePage();
  const { state, actions, pointsSeen } = page;
  // Before the first points there is nothing on the screen.
  void pointsSeen.value;
  const window = shownWindow(page);
  if (window === null) return null;
  const isDown = state.value.link !== "up";
  const { from, to } = stepsWithin(window);
  return (
    <button
      type="button"
      class="button button-small"
      data-testid="explain-range"
      disabled={isDown}
      title={
        isDown
          ? "The server is gone; nothing can be asked until it is back."
          : "Which component moved the total between the first and the last of these steps, and whether its loss or its weight did"
      }
      onClick={() => actions.explain({ from, to })}
    >
      explain this range
    </button>
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
