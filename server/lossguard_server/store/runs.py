"""Runs: queries."""

from dataclasses import dataclass

from sqlalchemy import update
from sqlmodel import Session, col, select

from .tables import RunRow


@dataclass(frozen=True)
class StoredRun:
    """A run as the database knows it. Times are epoch seconds."""

    id: str
    project: str
    name: str
    created_s: float
    seen_s: float
    world_size: int
    attempt: int
    finish: str | None


def open_run(session: Session, run: StoredRun) -> StoredRun:
    """The stored run; made when it is new. A newer attempt re-opens a run that had ended."""
    row = session.get(RunRow, run.id)
    if row is None:
        row = RunRow(**run.__dict__)
        session.add(row)
    elif run.attempt > row.attempt:
        row.attempt, row.world_size, row.finish, row.seen_s = run.attempt, run.world_size, None, run.seen_s
    session.flush()
    return _stored(row)


def seen(session: Session, run_id: str, at_s: float) -> None:
    """The run committed something."""
    session.execute(update(RunRow).where(col(RunRow.id) == run_id).values(seen_s=at_s))


def finish(session: Session, run_id: str, attempt: int, state: str) -> bool:
    """The attempt ended as `state`; nothing happens, and False comes back, when a newer one runs."""
    ended = session.connection().execute(
        update(RunRow).where(col(RunRow.id) == run_id, col(RunRow.attempt) == attempt).values(finish=state)
    )
    session.expire_all()  # the update went past the session's identity map
    return ended.rowcount == 1


def get(session: Session, run_id: str) -> StoredRun | None:
    """The run, or None."""
    row = session.get(RunRow, run_id)
    return None if row is None else _stored(row)


def newest_first(session: Session) -> list[StoredRun]:
    """Every run."""
    rows = session.exec(select(RunRow).order_by(col(RunRow.created_s).desc(), col(RunRow.id)))
    return [_stored(row) for row in rows]


def _stored(row: RunRow) -> StoredRun:
    return StoredRun(row.id, row.project, row.name, row.created_s, row.seen_s, row.world_size, row.attempt, row.finish)
