"""What a comparison counts of a run: queries that answer with numbers, however many rows there are."""

from sqlmodel import Session, col, func, select

from .tables import AlertRow, IncidentRow


def alerts_by_severity(session: Session, run_id: str) -> dict[str, int]:
    """How many alerts the run had; those that never fired are none."""
    statement = (
        select(AlertRow.severity, func.count())
        .where(AlertRow.run_id == run_id, col(AlertRow.state) != "pending")
        .group_by(AlertRow.severity)
    )
    return dict(session.exec(statement).all())


def incidents(session: Session, run_id: str) -> int:
    """How many incidents the run had."""
    return session.exec(select(func.count()).select_from(IncidentRow).where(IncidentRow.run_id == run_id)).one()
