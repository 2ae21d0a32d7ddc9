"""Commands of runs: queries.

Rules of this file: a state changes only by `move`, a compare-and-swap; whoever calls it writes the audit row in the
same transaction. Which changes are legal is services/command_states.py's business.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, func, select

from . import json
from .tables import CommandRow


@dataclass(frozen=True)
class StoredCommand:
    """An operator's intention as the database knows it."""

    id: str
    run: str
    number: int
    kind: str
    args: dict[str, Any]
    idempotency_key: str
    actor: str
    reason: str | None
    alert: str | None
    state: str
    created_s: float
    step: int | None
    old: Any
    new: Any
    refusal: str | None
    history: list[dict[str, Any]]
    effect: dict[str, Any] | None = None
    expires_s: float | None = None
    ranks: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Keys as in docs/protocol.md."""
        answer = dict(self.__dict__)
        del answer["idempotency_key"]
        return answer


@dataclass(frozen=True)
class Outcome:
    """What a trainer reported beside the state."""

    step: int | None = None
    old: Any = None
    new: Any = None
    refusal: str | None = None
    ranks: int | None = None
    note: Mapping[str, Any] = field(default_factory=dict)  # what its entry in the history says beside state and time


def add(session: Session, command: StoredCommand) -> None:
    """Store a new command."""
    row = CommandRow(
        id=command.id,
        run_id=command.run,
        number=command.number,
        kind=command.kind,
        args=json.to_text(command.args),
        idempotency_key=command.idempotency_key,
        actor=command.actor,
        reason=command.reason,
        alert=command.alert,
        state=command.state,
        created_s=command.created_s,
        history=json.to_text(command.history),
        expires_s=command.expires_s,
    )
    session.add(row)
    session.flush()


def next_number(session: Session, run_id: str) -> int:
    """The number of the run's next command."""
    return session.exec(
        select(func.coalesce(func.max(CommandRow.number), 0) + 1).where(CommandRow.run_id == run_id)
    ).one()


def move(
    session: Session, command: StoredCommand, to_state: str, at_s: float, outcome: Outcome
) -> StoredCommand | None:
    """The command in its new state; None when it is not in `command.state` any more (somebody was faster)."""
    history = [*command.history, {"state": to_state, "at_s": at_s, **outcome.note}]
    values: dict[str, Any] = {"state": to_state, "history": json.to_text(history), "refusal": outcome.refusal}
    if outcome.step is not None:
        values["step"] = outcome.step
    if outcome.ranks is not None:
        values["ranks"] = outcome.ranks
    for name, value in (("old", outcome.old), ("new", outcome.new)):
        if value is not None:
            values[name] = json.to_text(value)
    moved = session.connection().execute(
        update(CommandRow)
        .where(col(CommandRow.id) == command.id, col(CommandRow.state) == command.state)
        .values(values)
    )
    session.expire_all()  # the update went past the session's identity map
    return get(session, command.id) if moved.rowcount == 1 else None


def set_effect(session: Session, command_id: str, effect: dict[str, Any]) -> StoredCommand | None:
    """The command with its verdict; None when it is gone with its run."""
    session.connection().execute(
        update(CommandRow).where(col(CommandRow.id) == command_id).values(effect=json.to_text(effect))
    )
    session.expire_all()  # the update went past the session's identity map
    return get(session, command_id)


def get(session: Session, command_id: str) -> StoredCommand | None:
    """The command, or None."""
    row = session.get(CommandRow, command_id)
    return None if row is None else _stored(row)


def by_key(session: Session, run_id: str, idempotency_key: str) -> StoredCommand | None:
    """The run's command that was given with this key, or None."""
    row = session.exec(
        select(CommandRow).where(CommandRow.run_id == run_id, CommandRow.idempotency_key == idempotency_key)
    ).one_or_none()
    return None if row is None else _stored(row)


def newest_first(session: Session, run_id: str) -> list[StoredCommand]:
    """Every command of the run."""
    rows = session.exec(select(CommandRow).where(CommandRow.run_id == run_id).order_by(col(CommandRow.number).desc()))
    return [_stored(row) for row in rows]


def oldest_first(session: Session, run_id: str, limit: int) -> list[StoredCommand]:
    """The first `limit` commands of the run."""
    rows = select(CommandRow).where(CommandRow.run_id == run_id).order_by(col(CommandRow.number)).limit(limit)
    return [_stored(row) for row in session.exec(rows)]


def given_by(session: Session, run_id: str, actors: str) -> list[StoredCommand]:
    """The run's commands of actors whose name begins with `actors`, in order of their numbers."""
    of_them = col(CommandRow.actor).startswith(actors, autoescape=True)
    rows = session.exec(select(CommandRow).where(CommandRow.run_id == run_id, of_them).order_by(col(CommandRow.number)))
    return [_stored(row) for row in rows]


def naming(session: Session, run_id: str, alert_id: str) -> list[StoredCommand]:
    """The run's commands that were given because of an alert, in order of their numbers."""
    of_it = (CommandRow.run_id == run_id, CommandRow.alert == alert_id)
    rows = session.exec(select(CommandRow).where(*of_it).order_by(col(CommandRow.number)))
    return [_stored(row) for row in rows]


def runs_with(session: Session, states: Collection[str]) -> list[str]:
    """The runs that have a command in any of `states`."""
    return list(session.exec(select(CommandRow.run_id).where(col(CommandRow.state).in_(states)).distinct()))


def newest_number(session: Session, run_id: str) -> int:
    """The number of the run's newest command; 0 while it has none."""
    return next_number(session, run_id) - 1


def due(session: Session, state: str, now_s: float) -> list[StoredCommand]:
    """Commands of every run that are in `state` although it is too late for them."""
    rows = session.exec(select(CommandRow).where(CommandRow.state == state, col(CommandRow.expires_s) <= now_s))
    return [_stored(row) for row in rows]


def in_states(session: Session, run_id: str, states: Collection[str], after_number: int = 0) -> list[StoredCommand]:
    """The run's commands in any of `states` and beyond `after_number`, in order of their numbers."""
    rows = session.exec(
        select(CommandRow)
        .where(CommandRow.run_id == run_id, col(CommandRow.state).in_(states), CommandRow.number > after_number)
        .order_by(col(CommandRow.number))
    )
    return [_stored(row) for row in rows]


def _stored(row: CommandRow) -> StoredCommand:
    return StoredCommand(
        id=row.id,
        run=row.run_id,
        number=row.number,
        kind=row.kind,
        args=json.from_text(row.args),
        idempotency_key=row.idempotency_key,
        actor=row.actor,
        reason=row.reason,
        alert=row.alert,
        state=row.state,
        created_s=row.created_s,
        step=row.step,
        old=None if row.old is None else json.from_text(row.old),
        new=None if row.new is None else json.from_text(row.new),
        refusal=row.refusal,
        history=json.from_text(row.history),
        effect=None if row.effect is None else json.from_text(row.effect),
        expires_s=row.expires_s,
        ranks=row.ranks,
    )
