"""The audit trail: who did what, when. Rows are added in the transaction of what they tell of, and never changed."""

from typing import Any

from sqlmodel import Session, col, func, or_, select

from . import json, settings
from .tables import AuditRow, RunRow

RULES_CHANGED, POLICIES_CHANGED = "rules changed", "policies changed"


def add(session: Session, at_s: float, actor: str, what: str, detail: dict[str, Any], run_id: str | None) -> None:
    """Record what is being done in this transaction. `run_id` None: it concerns the server."""
    session.add(AuditRow(run_id=run_id, at_s=at_s, actor=actor, what=what, detail=json.to_text(detail)))


def newest_first(session: Session, run_id: str) -> list[dict[str, Any]]:
    """The run's trail, as answers carry it; and what was set for its project, which counts for it too."""
    rows = session.exec(select(AuditRow).where(_is_of(session, run_id)).order_by(col(AuditRow.id).desc()))
    return [_told(row) for row in rows]


def oldest_first(session: Session, run_id: str, limit: int) -> list[dict[str, Any]]:
    """The first `limit` of the same trail."""
    rows = select(AuditRow).where(_is_of(session, run_id)).order_by(col(AuditRow.id)).limit(limit)
    return [_told(row) for row in session.exec(rows)]


def count(session: Session, run_id: str) -> int:
    """How many entries the same trail has."""
    return session.exec(select(func.count()).select_from(AuditRow).where(_is_of(session, run_id))).one()


def said_by(session: Session, run_id: str, actors: str) -> list[dict[str, Any]]:
    """What actors whose name begins with `actors` did in a run, oldest first."""
    of_them = (AuditRow.run_id == run_id, col(AuditRow.actor).startswith(actors, autoescape=True))
    return [_told(row) for row in session.exec(select(AuditRow).where(*of_them).order_by(col(AuditRow.id)))]


def _is_of(session: Session, run_id: str) -> Any:
    """An entry of the run, or of what was set for its project."""
    own = col(AuditRow.run_id) == run_id
    run = session.get(RunRow, run_id)
    if run is None:
        return own
    # as `add` writes it; quotes inside a text are escaped there, so no text can look like this
    scope = json.to_text({"scope": settings.of_project(run.project)})[1:-1]
    of_server = col(AuditRow.run_id).is_(None) & col(AuditRow.what).in_((RULES_CHANGED, POLICIES_CHANGED))
    # instr: to LIKE a capital and a small letter are one
    return or_(own, of_server & (func.instr(col(AuditRow.detail), scope) > 0))


def _told(row: AuditRow) -> dict[str, Any]:
    return {"at_s": row.at_s, "actor": row.actor, "what": row.what, "detail": json.from_text(row.detail)}
