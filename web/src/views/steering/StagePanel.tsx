/** The curriculum: its stages with where the clock is, holding, releasing and going to one, and what is still to come. */
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Fields } from "../../lib/decode";
import type { Ground } from "../../lib/deeds";
import { step, words } from "../../lib/format";
import type { Run } from "../../lib/models";
import { type Schedule, beginsText, holdText, stageNow } from "../../lib/schedule";
import { isOver } from "../../lib/state";
import { ExportLink } from "./ExportLink";
import { OrderOutcome } from "./OrderOutcome";
import { Proposal } from "./Proposal";
import { ScheduleList } from "./ScheduleList";
import { useOrder } from "./useOrder";

export interface StageProps {
  readonly run: Run;
  readonly schedule: Schedule | null;
  /** why the schedule cannot be shown */
  readonly fault: string | null;
  readonly ground: Ground;
  readonly isAllowed: boolean;
}

/** What a person is about to do to the clock. */
interface Move {
  readonly kind: "hold_stage" | "release_stage" | "go_to_stage";
  readonly args: Fields;
  readonly label: string;
}

const MOVES = ["hold_stage", "release_stage", "go_to_stage"] as const;

export function StagePanel({ run, schedule, fault, ground, isAllowed }: StageProps): JSX.Element {
  const move = useSignal<Move | null>(null);
  const ordering = useOrder(run.id);
  const propose = (next: Move): void => {
    ordering.forget();
    move.value = next;
  };
  const send = async (kind: string, args: Fields, seen: number): Promise<void> => {
    if (await ordering.send(kind, args, seen)) move.value = null;
  };
  const can = (kind: string): boolean => isAllowed && run.controls.includes(kind) && !ordering.isUnderWay;
  const isBusy = !isAllowed || ordering.isUnderWay;
  const proposal = (
    <Proposed run={run} move={move} ground={ground} isDisabled={isBusy} onSend={(...order) => void send(...order)} />
  );
  const target = move.value?.kind === "go_to_stage" ? move.value.args["stage"] : null;
  return (
    <section class="panel" aria-label="Stages" data-testid="stages">
      <header class="panel-head">
        <h2>
          Stages <span class="quiet number">{clockText(schedule)}</span>
        </h2>
        <ExportLink run={run} />
      </header>
      {fault !== null && <p class="fault">{fault}</p>}
      {schedule?.stages.length === 0 && <p class="quiet">This run has no stages.</p>}
      {schedule !== null && schedule.stages.length > 0 && (
        <>
          <Clock schedule={schedule} isOver={isOver(run)} can={can} onPropose={propose} />
          {target === null && proposal}
          <OrderOutcome ordering={ordering} testid="outcome-stage" />
          <StageRows
            schedule={schedule}
            isOver={isOver(run)}
            canGo={can("go_to_stage")}
            onGo={(name) => propose(goTo(name))}
            target={target}
            proposal={proposal}
          />
          <NotAllowed run={run} />
        </>
      )}
      {schedule !== null && !isOver(run) && <ScheduleList schedule={schedule} />}
    </section>
  );
}

const HOLD: Move = { kind: "hold_stage", args: {}, label: "Hold the stage" };
const RELEASE: Move = { kind: "release_stage", args: {}, label: "Release the stage" };

function goTo(stage: string): Move {
  return { kind: "go_to_stage", args: { stage }, label: `Go to ${stage}` };
}

function clockText(schedule: Schedule | null): string {
  return schedule?.position == null || schedule.stages.length === 0 ? "" : `clock at ${step(schedule.position)}`;
}

interface ClockProps {
  readonly schedule: Schedule;
  /** nothing goes on any more */
  readonly isOver: boolean;
  readonly can: (kind: string) => boolean;
  readonly onPropose: (move: Move) => void;
}

/** Whether the clock runs, and the button that changes it. */
function Clock({ schedule, isOver: isRunOver, can, onPropose }: ClockProps): JSX.Element | null {
  if (schedule.stages.length < 2) return null;
  if (schedule.held === null)
    return (
      <div class="clock">
        <p class="quiet">{isRunOver ? "The run is over." : "The curriculum goes on."}</p>
        <button
          type="button"
          class="button"
          data-testid="btn-hold"
          disabled={!can("hold_stage")}
          onClick={() => onPropose(HOLD)}
        >
          Hold the stage…
        </button>
      </div>
    );
  return (
    <div class="clock held" data-testid="held">
      <p class="number">
        <svg class="held-sign" viewBox="0 0 10 10" aria-hidden="true">
          <path d="M2 1v8M7 1v8" />
        </svg>{" "}
        <strong>{holdText(schedule.held)}</strong>
      </p>
      <button
        type="button"
        class="button"
        data-testid="btn-release"
        disabled={!can("release_stage")}
        onClick={() => onPropose(RELEASE)}
      >
        Release…
      </button>
    </div>
  );
}

interface RowsProps {
  readonly schedule: Schedule;
  readonly isOver: boolean;
  readonly canGo: boolean;
  readonly onGo: (stage: string) => void;
  /** the stage under which the proposal stands */
  readonly target: unknown;
  readonly proposal: JSX.Element;
}

function StageRows({ schedule, isOver: isRunOver, canGo, onGo, target, proposal }: RowsProps): JSX.Element {
  const now = stageNow(schedule);
  return (
    <ol class="stage-rows" aria-label="The stages">
      {schedule.stages.map((stage, i) => (
        <li
          key={stage.name}
          class="stage-row"
          data-testid="stage-row"
          data-stage={stage.name}
          aria-current={i === now ? "step" : undefined}
        >
          <span class="stage-sign" aria-hidden="true">
            {i === now ? "▶" : i < now ? "✓" : "·"}
          </span>
          <span class="stage-name" title={`declared for step ${step(stage.start)}`}>
            {stage.name}
          </span>
          <span class="stage-when number">{beginsText(schedule, i, isRunOver)}</span>
          {schedule.stages.length > 1 && (
            <button
              type="button"
              class="button button-small"
              aria-label={`go to stage ${stage.name}`}
              data-testid={`go-to-${stage.name}`}
              disabled={!canGo}
              onClick={() => onGo(stage.name)}
            >
              {i === now ? "begin anew…" : "go to…"}
            </button>
          )}
          {target === stage.name && proposal}
        </li>
      ))}
    </ol>
  );
}

/** A control that is off says why; what a person may not do at all is said above the buttons of the run. */
function NotAllowed({ run }: { run: Run }): JSX.Element | null {
  const refused = MOVES.filter((kind) => !run.controls.includes(kind));
  return refused.length === 0 ? null : (
    <p class="quiet">This training script does not allow: {refused.map(words).join(", ")}.</p>
  );
}

interface ProposedProps {
  readonly run: Run;
  readonly move: Signal<Move | null>;
  readonly ground: Ground;
  readonly isDisabled: boolean;
  readonly onSend: (kind: string, args: Fields, seen: number) => void;
}

function Proposed({ run, move, ground, isDisabled, onSend }: ProposedProps): JSX.Element | null {
  const { value } = move;
  if (value === null) return null;
  return (
    <Proposal
      key={value.label}
      run={run.id}
      kind={value.kind}
      args={value.args}
      label={value.label}
      name="stage"
      ground={ground}
      hasLease={value.kind === "hold_stage"}
      isDisabled={isDisabled}
      onSend={(args, seen) => onSend(value.kind, args, seen)}
      onForget={() => (move.value = null)}
    />
  );
}
