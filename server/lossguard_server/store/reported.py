"""What a report reads of a run's tables: never more than so many rows, and how many there are.

Rules of this file: of what there is too much the oldest is kept of events and of what people did, because a story
begins at its beginning; of alerts and incidents the newest, as everywhere.
"""

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, case, col, func, or_, select

from . import audit, commands, incidents, verdicts
from .commands import StoredCommand
from .events import StoredEvent
from .json import from_text
from .tables import AlertRow, CommandRow, EventRow, IncidentRow

# a `nonfinite` a step would be a million rows; what it says of the first one is enough
_TOLD = ("stage", "gap", "error", "finish", "trip", "origin", "rollback", "resume", "detail")
NONFINITE = "nonfinite"
# where these are finite and a gradient is not, a float16 GradScaler may have probed
BEFORE_GRADIENTS = ("loss/", "contribution/", "matrix/")


@dataclass(frozen=True)
class Reported:
    """Rows as answers carry them, oldest first; `of`: how many there are of each; `first_nonfinite`: the first that
    names something before the gradients, or nothing; without one, the first."""

    events: list[StoredEvent]
    first_nonfinite: StoredEvent | None
    alerts: list[dict[str, Any]]
    incidents: list[dict[str, Any]]
    commands: list[StoredCommand]
    audit: list[dict[str, Any]]
    of: dict[str, int]


def read(session: Session, run_id: str, most: int) -> Reported:
    """At most `most` rows of each."""
    return Reported(
        events=_events(session, run_id, most),
        first_nonfinite=_first_nonfinite(session, run_id),
        alerts=_alerts(session, run_id, most),
        incidents=incidents.newest_first(session, run_id, most)[::-1],
        commands=commands.oldest_first(session, run_id, most),
        audit=audit.oldest_first(session, run_id, most),
        of={
            "events": _count(session, select(func.count()).where(EventRow.run_id == run_id, _is_told())),
            "alerts": _count(session, select(func.count()).where(AlertRow.run_id == run_id)),
            "incidents": _count(session, select(func.count()).where(IncidentRow.run_id == run_id)),
            "commands": _count(session, select(func.count()).where(CommandRow.run_id == run_id)),
            "audit": audit.count(session, run_id),
        },
    )


def _events(session: Session, run_id: str, most: int) -> list[StoredEvent]:
    rows = session.exec(
        select(EventRow).where(EventRow.run_id == run_id, _is_told()).order_by(col(EventRow.id)).limit(most)
    )
    return [_stored(row) for row in rows]


def _first_nonfinite(session: Session, run_id: str) -> StoredEvent | None:
    rows = select(EventRow).where(EventRow.run_id == run_id, EventRow.kind == NONFINITE)
    told = [func.instr(col(EventRow.data), f'"{prefix}') > 0 for prefix in BEFORE_GRADIENTS]
    later = case((or_(*told, func.instr(col(EventRow.data), '"series":[]') > 0), 0), else_=1)
    row = session.exec(rows.order_by(later, col(EventRow.step), col(EventRow.id)).limit(1)).one_or_none()
    return None if row is None else _stored(row)


def _alerts(session: Session, run_id: str, most: int) -> list[dict[str, Any]]:
    rows = session.exec(
        select(AlertRow).where(AlertRow.run_id == run_id).order_by(col(AlertRow.number).desc()).limit(most)
    )
    return [verdicts.Said(from_text(row.body), row.verdict, row.silenced_until_s).to_dict() for row in rows][::-1]


def _is_told() -> Any:
    return col(EventRow.kind).in_(_TOLD)


def _count(session: Session, statement: Any) -> int:
    return int(session.exec(statement).one())


def _stored(row: EventRow) -> StoredEvent:
    return StoredEvent(row.step, row.kind, row.time_s, from_text(row.data))
