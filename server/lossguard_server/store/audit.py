"""The audit trail: who did what, when. Rows are added in the transaction of what they tell of, and never changed."""

from typing import Any

from sqlmodel import Session, col, select

from . import json
from .tables import AuditRow


def add(session: Session, at_s: float, actor: str, what: str, detail: dict[str, Any], run_id: str | None) -> None:
    """Record what is being done in this transaction. `run_id` None: it concerns the server."""
    session.add(AuditRow(run_id=run_id, at_s=at_s, actor=actor, what=what, detail=json.to_text(detail)))


def newest_first(session: Session, run_id: str) -> list[dict[str, Any]]:
    """The run's trail, as answers carry it."""
    rows = session.exec(select(AuditRow).where(AuditRow.run_id == run_id).order_by(col(AuditRow.id).desc()))
    return [
        {"at_s": row.at_s, "actor": row.actor, "what": row.what, "detail": json.from_text(row.detail)} for row in rows
    ]
