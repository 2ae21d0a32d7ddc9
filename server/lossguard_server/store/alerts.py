"""Alerts of runs: queries. The rules decide what an alert says; here it is text with a state."""

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, col, select

from . import json
from .tables import AlertRow

OPEN_STATES = ("firing", "acknowledged")


def upsert(session: Session, alert: dict[str, Any]) -> dict[str, Any]:
    """Store the alert as it is now, by its id. One that was there keeps the time at which it first fired.

    Returns it as answers carry it, with what people said of it.
    """
    row = session.exec(select(AlertRow).where(AlertRow.id == alert["id"])).one_or_none()
    if row is None:
        row = AlertRow(id=alert["id"], run_id=alert["run"], state="", severity="", body="", rule=alert["rule"])
        session.add(row)
    else:
        alert["fired_s"] = json.from_text(row.body)["fired_s"]
    row.state, row.severity, row.body = alert["state"], alert["severity"], json.to_text(alert)
    session.flush()
    return {**alert, "verdict": row.verdict, "silenced_until_s": row.silenced_until_s}


def newest_first(session: Session, run_id: str, limit: int | None = None) -> list[dict[str, Any]]:
    """The alerts of the run, as answers carry it; all of them, or the last `limit`."""
    statement = select(AlertRow).where(AlertRow.run_id == run_id).order_by(col(AlertRow.number).desc())
    rows = session.exec(statement.limit(limit))
    return [json.from_text(row.body) for row in rows]


def open_of(session: Session, run_id: str, states: Sequence[str] = OPEN_STATES) -> list[dict[str, Any]]:
    """The run's alerts that are not over, oldest first."""
    rows = session.exec(
        select(AlertRow)
        .where(AlertRow.run_id == run_id, col(AlertRow.state).in_(states))
        .order_by(col(AlertRow.number))
    )
    return [json.from_text(row.body) for row in rows]


def all_open(session: Session) -> list[dict[str, Any]]:
    """The alerts of every run that are not over, oldest first."""
    rows = session.exec(select(AlertRow).where(col(AlertRow.state).in_(OPEN_STATES)).order_by(col(AlertRow.number)))
    return [json.from_text(row.body) for row in rows]


def get(session: Session, alert_id: str) -> dict[str, Any] | None:
    """The alert, or None."""
    row = session.exec(select(AlertRow).where(AlertRow.id == alert_id)).one_or_none()
    return None if row is None else json.from_text(row.body)
