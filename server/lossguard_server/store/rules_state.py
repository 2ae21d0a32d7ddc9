"""What the rules know of each run, as bytes that only they can read: queries."""

from sqlmodel import Session, select

from .tables import RulesStateRow


def get(session: Session, run_id: str) -> bytes | None:
    """What was stored last; None where nothing was."""
    return session.exec(select(RulesStateRow.body).where(RulesStateRow.run_id == run_id)).one_or_none()


def put(session: Session, run_id: str, body: bytes) -> None:
    """Replaces what was there."""
    session.merge(RulesStateRow(run_id=run_id, body=body))
