"""What becomes of applied commands when a newer attempt goes on from a checkpoint, or begins anew.

Rules of this file:
- In the transaction that stores the trainer's word. What is in force is read from the journal (plan_fold.py).
- A resume's operations are in force. What an earlier attempt applied and they lack is offered again, at the step where
  it held, once an attempt; what this attempt itself applied or was offered is not: its process drops ids that it has
  seen, so they are rolled back.
- Where it held before the resume's step already, it is offered at that step: a rollback brought it there, and the
  checkpoint is of the branch that was left. At a step that has passed it would be refused, though it was in force.
- An attempt that trains without a resume has nothing of the earlier ones.
"""

from collections.abc import Iterable, Iterator

from sqlmodel import Session

from lossguard.protocol.messages import Event
from lossguard.protocol.steering import STEERING_KINDS

from ..store import commands, decoding, journal
from ..store.columns import VIEW_RANK
from ..store.commands import Outcome, StoredCommand
from ..store.journal import StreamHead, StreamKey
from . import command_states as states
from .command_moves import AT_STEP, ATTEMPT, SERVER, at_step, known_to, move, was_applied
from .plan_fold import Given, PlanFold, fold, operations_of


def fold_of(session: Session, stream_id: int) -> PlanFold:
    """All that an attempt's rank 0 has said of what is in force. Raises JournalDamaged."""
    return fold(decoding.told(session, stream_id), given_in(session))


def given_in(session: Session) -> Given:
    """The commands that are stored."""

    def given(command_id: str) -> tuple[str, dict[str, object]] | None:
        command = commands.get(session, command_id)
        return None if command is None else (command.kind, command.args)

    return given


def resumed(session: Session, key: StreamKey, event: Event, wall_s: float) -> list[StoredCommand]:
    """The commands that a `resume` event of the newest attempt changes, in the order of their steps."""
    in_force = {each.id: each.step for each in operations_of(event)}
    changed = [
        _found(session, command, in_force[command.id], key.attempt, wall_s)
        for command in _steering(session, key.run, (*states.OPEN, states.ROLLED_BACK, states.EXPIRED))
        if command.id in in_force and states.is_legal(command.state, states.APPLIED)
    ]
    missing = _lacking(session, key.run, in_force)
    known = _steps_before(session, key, {command.id for command in missing})
    steps = {each.id: max(known.get(each.id, _last_step(each)), event.step) for each in missing}
    by_step = sorted(missing, key=lambda each: (steps[each.id], each.number))
    changed += [_taken_up(session, command, steps[command.id], key.attempt, wall_s) for command in by_step]
    return [command for command in changed if command is not None]


def begun(session: Session, key: StreamKey, stream_id: int, wall_s: float) -> list[StoredCommand]:
    """The commands that a newer attempt lacks as it begins to train."""
    folded = fold_of(session, stream_id)
    if not folded.has_declared:
        return []  # its first words are lost with its spool, the `resume` among them: it may have all of them
    in_force = {each.id for each in folded.plan.operations}
    why = f"Attempt {key.attempt} began without it."
    moved = [_roll_back(session, command, why, key.attempt, wall_s) for command in _lacking(session, key.run, in_force)]
    return [command for command in moved if command is not None]


def told_late(
    session: Session, command: StoredCommand, step: int, newest_attempt: int, wall_s: float
) -> list[StoredCommand]:
    """An older attempt's word that it applied the command at `step`, while `newest_attempt` runs already."""
    head = next((head for head in _heads(session, command.run) if head.key.attempt == newest_attempt), None)
    if head is None or command.kind not in STEERING_KINDS:
        return []
    folded = fold_of(session, head.id)
    if any(each.id == command.id for each in folded.plan.operations):
        return []
    if folded.resumed_step is not None:
        moved = _taken_up(session, command, max(step, folded.resumed_step), newest_attempt, wall_s)
    elif head.begins_step is not None:
        why = f"Attempt {newest_attempt} began without it."
        moved = _roll_back(session, command, why, newest_attempt, wall_s)
    else:
        return []  # it has not said yet what it goes on from
    return [] if moved is None else [moved]


def _lacking(session: Session, run_id: str, in_force: Iterable[str]) -> list[StoredCommand]:
    """What earlier attempts applied, and was not given up since, beside what is in force."""
    known = set(in_force)
    found = _steering(session, run_id, (states.APPLIED, states.EXPIRED))
    return [command for command in found if command.id not in known and was_applied(command)]


def _steering(session: Session, run_id: str, of_states: tuple[str, ...]) -> list[StoredCommand]:
    found = commands.in_states(session, run_id, of_states)
    return [command for command in found if command.kind in STEERING_KINDS]


def _found(session: Session, command: StoredCommand, step: int, attempt: int, wall_s: float) -> StoredCommand | None:
    """The checkpoint holds it, whatever was known of it until now."""
    outcome = Outcome(step=step, note={"step": step, ATTEMPT: attempt})
    return move(session, command, states.APPLIED, SERVER, wall_s, outcome)


def _taken_up(session: Session, command: StoredCommand, step: int, attempt: int, wall_s: float) -> StoredCommand | None:
    """It is offered again, or rolled back where that would be dropped."""
    if known_to(command) >= attempt:
        why = f"Attempt {attempt} went back behind it once more."
        return _roll_back(session, command, why, attempt, wall_s)
    note = {AT_STEP: step, ATTEMPT: attempt}
    return move(session, command, states.QUEUED, SERVER, wall_s, Outcome(note=note))


def _roll_back(session: Session, command: StoredCommand, why: str, attempt: int, wall_s: float) -> StoredCommand | None:
    outcome = Outcome(refusal=why, note={ATTEMPT: attempt})
    return move(session, command, states.ROLLED_BACK, SERVER, wall_s, outcome)


def _steps_before(session: Session, key: StreamKey, wanted: set[str]) -> dict[str, int]:
    """Where the operations held in the newest earlier attempt that had each of them: a rollback may have moved them."""
    found: dict[str, int] = {}
    for head in _older(session, key):
        if wanted <= set(found):
            break
        for each in fold_of(session, head.id).plan.operations:
            if each.id in wanted:
                found.setdefault(each.id, each.step)
    return found


def _older(session: Session, key: StreamKey) -> Iterator[StreamHead]:
    return (head for head in reversed(_heads(session, key.run)) if head.key.attempt < key.attempt)


def _heads(session: Session, run_id: str) -> list[StreamHead]:
    return [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]


def _last_step(command: StoredCommand) -> int:
    known = at_step(command)
    return max(known if known >= 0 else command.step or 0, 0)
