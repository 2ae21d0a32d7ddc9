"""Incidents of runs: queries. The rules decide what an incident says; here it is text with a state."""

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session, col, select

from . import json
from .tables import IncidentRow

OPEN = "open"


def upsert(session: Session, incident: Mapping[str, Any]) -> dict[str, Any]:
    """Store the incident as it is now, by its id, and return it. One that was there keeps the time of its opening."""
    row = session.exec(select(IncidentRow).where(IncidentRow.id == incident["id"])).one_or_none()
    if row is None:
        row = IncidentRow(id=incident["id"], run_id=incident["run"], state="", body="")
        session.add(row)
    else:
        incident = {**incident, "opened_s": json.from_text(row.body)["opened_s"]}
    row.state, row.body = incident["state"], json.to_text(incident)
    session.flush()
    return dict(incident)


def newest_first(session: Session, run_id: str, limit: int | None = None) -> list[dict[str, Any]]:
    """The incidents of the run, as answers carry them; all of them, or the last `limit`."""
    statement = select(IncidentRow).where(IncidentRow.run_id == run_id).order_by(col(IncidentRow.number).desc())
    return [json.from_text(row.body) for row in session.exec(statement.limit(limit))]


def open_of(session: Session, run_id: str) -> list[dict[str, Any]]:
    """The run's incidents that are not over, oldest first."""
    statement = select(IncidentRow).where(IncidentRow.run_id == run_id, IncidentRow.state == OPEN)
    return [json.from_text(row.body) for row in session.exec(statement.order_by(col(IncidentRow.number)))]


def get(session: Session, incident_id: str) -> dict[str, Any] | None:
    """The incident, or None."""
    row = session.exec(select(IncidentRow).where(IncidentRow.id == incident_id)).one_or_none()
    return None if row is None else json.from_text(row.body)
