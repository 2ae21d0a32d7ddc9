"""Every change of a command's state, each with its audit row, in the caller's transaction.

Rules of this file:
- What a trainer reports of a command that it cannot concern, or that was offered to a newer attempt since, changes
  nothing. Nor does it twice: who is offered again what it has settled, by a server that was set back, repeats its word.
- A trainer that refuses what was offered again says that it stays rolled back; what was never applied is rejected.
"""

from typing import Any

from sqlmodel import Session

from lossguard.protocol.messages import Event

from ..store import audit, commands
from ..store.commands import Outcome, StoredCommand
from ..store.journal import StreamKey
from . import command_states as states

TRAINER, SERVER = "trainer", "server"
ATTEMPT, AT_STEP = "attempt", "at_step"  # in a command's history


def move(
    session: Session, command: StoredCommand, state: str, actor: str, wall_s: float, outcome: Outcome | None = None
) -> StoredCommand | None:
    """The command in its new state; None when somebody was faster. Raises IllegalTransition."""
    states.check(command.state, state)
    moved = commands.move(session, command, state, wall_s, outcome or Outcome())
    if moved is not None:
        detail = {"command": moved.id, "kind": moved.kind, "step": moved.step, "old": moved.old, "new": moved.new}
        audit.add(session, wall_s, actor, f"command {state}", detail, command.run)
    return moved


def add(session: Session, command: StoredCommand) -> StoredCommand:
    """Store a new command, which is queued."""
    commands.add(session, command)
    detail = {"command": command.id, "kind": command.kind, "args": command.args, "reason": command.reason}
    audit.add(session, command.created_s, command.actor, f"command {states.QUEUED}", detail, command.run)
    return command


def settle(session: Session, key: StreamKey, event: Event, wall_s: float) -> list[StoredCommand]:
    """What a trainer's `command` event changes: the command in its new state, or nothing."""
    data = event.data
    command_id, reported = data.get("id"), data.get("state")
    if not isinstance(command_id, str) or reported not in states.REPORTED:
        return []
    command = commands.get(session, command_id)
    if command is None or command.run != key.run or key.attempt < offered_to(command):
        return []
    if reported == states.APPLIED and _is_told(command, key.attempt, event.step):
        return []
    state = states.ROLLED_BACK if reported == states.REJECTED and was_applied(command) else reported
    is_refusal_of_nothing = reported == states.REJECTED and command.state not in states.OPEN
    if is_refusal_of_nothing or not states.is_legal(command.state, state):
        return []
    moved = move(session, command, state, TRAINER, wall_s, _outcome(event, key, state))
    return [] if moved is None else [moved]


def expire_open(session: Session, run_id: str, why: str, wall_s: float) -> list[StoredCommand]:
    """Nobody will carry out what is open: the run, or the attempt that it was meant for, is over."""
    return _expire(session, commands.in_states(session, run_id, states.OPEN), why, wall_s)


def expire_due(session: Session, wall_s: float) -> list[StoredCommand]:
    """What did not go out in time will not go out any more."""
    due = [command for command in commands.due(session, states.QUEUED, wall_s) if is_late(command, wall_s)]
    return _expire(session, due, "It was not sent in time.", wall_s)


def is_late(command: StoredCommand, wall_s: float) -> bool:
    """Its time is over. One that was applied in time, and is offered again at its step, is not late."""
    return command.expires_s is not None and command.expires_s <= wall_s and not was_applied(command)


def was_applied(command: StoredCommand) -> bool:
    """An attempt applied it, and may have lost it since."""
    return any(entry["state"] == states.APPLIED for entry in command.history)


def _is_told(command: StoredCommand, attempt: int, step: int) -> bool:
    """The attempt said before that it applied it there."""
    word = (states.APPLIED, attempt, step)
    return any((entry["state"], entry.get(ATTEMPT), entry.get("step")) == word for entry in command.history)


def offered_to(command: StoredCommand) -> int:
    """The newest attempt that it was offered again, or -1."""
    return _latest(command, ATTEMPT, (states.QUEUED,), -1)


def known_to(command: StoredCommand) -> int:
    """The newest attempt that applied it or was offered it again, or -1 where that was not recorded."""
    return _latest(command, ATTEMPT, (states.QUEUED, states.APPLIED), -1)


def at_step(command: StoredCommand) -> int:
    """The step at which it is to be applied again; -1 of one that is new."""
    return _latest(command, AT_STEP, (states.QUEUED,), -1)


def _latest(command: StoredCommand, name: str, of_states: tuple[str, ...], default: int) -> int:
    found = (entry[name] for entry in reversed(command.history) if entry["state"] in of_states and name in entry)
    return int(next(found, default))


def _expire(session: Session, found: list[StoredCommand], why: str, wall_s: float) -> list[StoredCommand]:
    moved = [move(session, command, states.EXPIRED, SERVER, wall_s, Outcome(refusal=why)) for command in found]
    return [command for command in moved if command is not None]


def _outcome(event: Event, key: StreamKey, state: str) -> Outcome:
    """What the trainer said beside the state."""
    data = event.data
    reason, ranks = data.get("reason"), data.get("ranks")
    is_refused = state in (states.REJECTED, states.ROLLED_BACK)
    note: dict[str, Any] = {}
    if state == states.APPLIED:
        note = {"step": event.step, ATTEMPT: key.attempt}
    return Outcome(
        step=event.step if state == states.APPLIED else None,
        old=data.get("old"),
        new=data.get("new"),
        refusal=str(reason) if is_refused and reason is not None else None,
        ranks=ranks if type(ranks) is int and 0 < ranks < 1 << 31 else None,
        note=note,
    )
