"""Events of runs: queries."""

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, func, select

from . import json
from .tables import EventRow


@dataclass(frozen=True)
class StoredEvent:
    """What happened at a step. `time_s` is the trainer's clock, a label."""

    step: int
    kind: str
    time_s: float
    data: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Keys as in docs/protocol.md."""
        return {"step": self.step, "kind": self.kind, "time_s": self.time_s, "data": self.data}


def add(session: Session, run_id: str, event: StoredEvent) -> None:
    """Store an event after the ones before."""
    session.add(
        EventRow(run_id=run_id, step=event.step, kind=event.kind, time_s=event.time_s, data=json.to_text(event.data))
    )


def oldest_first(session: Session, run_id: str) -> list[StoredEvent]:
    """Every event of the run."""
    rows = session.exec(select(EventRow).where(EventRow.run_id == run_id).order_by(col(EventRow.id)))
    return [StoredEvent(row.step, row.kind, row.time_s, json.from_text(row.data)) for row in rows]


def count(session: Session, run_id: str, kind: str) -> int:
    """How many events of that kind the run has."""
    statement = select(func.count()).select_from(EventRow).where(EventRow.run_id == run_id, EventRow.kind == kind)
    return session.exec(statement).one()
