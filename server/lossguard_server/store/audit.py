"""The audit trail: who did what, when. Rows are added in the transaction of what they tell of, and never changed."""

from typing import Any

from sqlmodel import Session, col, or_, select

from . import json, settings
from .tables import AuditRow, RunRow

RULES_CHANGED, POLICIES_CHANGED = "rules changed", "policies changed"


def add(session: Session, at_s: float, actor: str, what: str, detail: dict[str, Any], run_id: str | None) -> None:
    """Record what is being done in this transaction. `run_id` None: it concerns the server."""
    session.add(AuditRow(run_id=run_id, at_s=at_s, actor=actor, what=what, detail=json.to_text(detail)))


def newest_first(session: Session, run_id: str) -> list[dict[str, Any]]:
    """The run's trail, as answers carry it; and what was set for its project, which counts for it too."""
    run = session.get(RunRow, run_id)
    scope = None if run is None else settings.of_project(run.project)
    of_server = col(AuditRow.run_id).is_(None) & col(AuditRow.what).in_((RULES_CHANGED, POLICIES_CHANGED))
    asked = select(AuditRow).where(or_(AuditRow.run_id == run_id, of_server)).order_by(col(AuditRow.id).desc())
    found = [(row, json.from_text(row.detail)) for row in session.exec(asked)]
    return [
        {"at_s": row.at_s, "actor": row.actor, "what": row.what, "detail": detail}
        for row, detail in found
        if row.run_id is not None or detail.get("scope") == scope
    ]


def said_by(session: Session, run_id: str, actors: str) -> list[dict[str, Any]]:
    """What actors whose name begins with `actors` did in a run, oldest first."""
    of_them = (AuditRow.run_id == run_id, col(AuditRow.actor).startswith(actors, autoescape=True))
    return [
        {"at_s": row.at_s, "actor": row.actor, "what": row.what, "detail": json.from_text(row.detail)}
        for row in session.exec(select(AuditRow).where(*of_them).order_by(col(AuditRow.id)))
    ]
