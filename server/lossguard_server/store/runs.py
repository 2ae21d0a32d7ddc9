"""Runs: queries, and how one is deleted.

Rules of this file: a run is deleted in pieces, so that acknowledgements do not wait for it. From the first transaction
on it counts as gone: nobody reads it and no trainer opens it; its row goes last, so that a restart finds what is left.
Each piece looks for the mark in its own transaction: once the row is gone, the id may be a new run's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, text, update
from sqlmodel import Session, col, select

from ..errors import RunBeingDeleted
from . import json, outbox
from .tables import RunRow, table_of

DELETING = "deleting"  # in place of how it ended
_run = table_of(RunRow)
_OF_STREAM = "SELECT id FROM stream WHERE run_id = :run"
_OF_PART = f"SELECT id FROM part WHERE stream_id IN ({_OF_STREAM})"
# children before parents, the run's own row apart; of the audit trail and the outbox nothing goes
_PIECES = (
    ("summary", f"part_id IN ({_OF_PART})"),
    ("chunk", f"part_id IN ({_OF_PART})"),
    ("part", f"stream_id IN ({_OF_STREAM})"),
    ("journal", f"stream_id IN ({_OF_STREAM})"),
    ("stream", "run_id = :run"),
    ("event", "run_id = :run"),
    ("incident", "run_id = :run"),
    ("alert", "run_id = :run"),
    ("rules_state", "run_id = :run"),
    ("setting", "scope = 'run:' || :run"),
    ("command", "run_id = :run"),
)


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
    label: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    archived_s: float | None = None
    deleted_s: float | None = None  # since then nobody is shown it, but it can be restored

    @property
    def archived(self) -> bool:
        return self.archived_s is not None


def open_run(session: Session, run: StoredRun) -> StoredRun:
    """The stored run; made when it is new. A newer attempt re-opens a run that had ended, and whoever opens one that is
    deleted for now brings it back. Raises RunBeingDeleted."""
    row = session.get(RunRow, run.id)
    if row is not None and row.finish == DELETING:
        raise RunBeingDeleted(f"It is {run.id[:80]!r}.")
    if row is None:
        row = RunRow(**{**run.__dict__, "tags": json.to_text(run.tags)})
        session.add(row)
    elif run.attempt > row.attempt:
        row.attempt, row.world_size, row.finish, row.seen_s = run.attempt, run.world_size, None, run.seen_s
    row.deleted_s = None
    session.flush()
    return _stored(row)


def seen(session: Session, at_s: Mapping[str, float]) -> None:
    """The runs committed something, each at its time."""
    statement = update(_run).where(_run.c.id == bindparam("run")).values(seen_s=bindparam("at_s"))
    session.connection().execute(statement, [{"run": run, "at_s": time_s} for run, time_s in at_s.items()])


def finish(session: Session, run_id: str, attempt: int, state: str) -> bool:
    """The attempt ended as `state`; nothing happens, and False comes back, when a newer one runs."""
    # what was under way when its trainer left must not take the mark off a run that is being deleted
    is_its_own = (col(RunRow.attempt) == attempt, col(RunRow.finish).is_distinct_from(DELETING))
    ended = session.connection().execute(
        update(RunRow).where(col(RunRow.id) == run_id, *is_its_own).values(finish=state)
    )
    session.expire_all()  # the update went past the session's identity map
    return ended.rowcount == 1


def get(session: Session, run_id: str) -> StoredRun | None:
    """The run, or None."""
    row = session.get(RunRow, run_id)
    return None if row is None or row.finish == DELETING else _stored(row)


def newest_first(session: Session, with_deleted: bool = False) -> list[StoredRun]:
    """Every run; those that are deleted for now only `with_deleted`."""
    rows = session.exec(select(RunRow).order_by(col(RunRow.created_s).desc(), col(RunRow.id)))
    return [_stored(row) for row in rows if row.finish != DELETING and (with_deleted or row.deleted_s is None)]


def deleted(session: Session) -> list[StoredRun]:
    """Those that are deleted for now, newest first."""
    rows = (
        select(RunRow).where(col(RunRow.deleted_s).is_not(None)).order_by(col(RunRow.created_s).desc(), col(RunRow.id))
    )
    return [_stored(row) for row in session.exec(rows) if row.finish != DELETING]


def of_project(session: Session, project: str) -> list[str]:
    """Every run of the project."""
    rows = session.exec(select(RunRow).where(RunRow.project == project))
    return [row.id for row in rows if row.finish != DELETING]


def not_seen_since(session: Session, time_s: float) -> list[str]:
    """Runs of which nothing was committed since then, those seen longest ago first."""
    rows = session.exec(select(RunRow).where(col(RunRow.seen_s) < time_s).order_by(col(RunRow.seen_s)))
    return [row.id for row in rows if row.finish != DELETING]


def deleted_before(session: Session, time_s: float) -> list[str]:
    """Runs that were deleted for now before then, the one deleted longest ago first."""
    rows = session.exec(select(RunRow).where(col(RunRow.deleted_s) < time_s).order_by(col(RunRow.deleted_s)))
    return [row.id for row in rows if row.finish != DELETING]


def say(session: Session, run_id: str, **said: Any) -> tuple[StoredRun, StoredRun] | None:
    """Set what people say of the run (fields of StoredRun); it before and after, None when there is no such run."""
    row = session.get(RunRow, run_id)
    if row is None or row.finish == DELETING:
        return None
    before = _stored(row)
    for name, value in said.items():
        setattr(row, name, json.to_text(value) if name == "tags" else value)
    session.flush()
    return before, _stored(row)


def being_deleted(session: Session) -> list[str]:
    """Runs whose deletion has begun and is not over."""
    return [row.id for row in session.exec(select(RunRow).where(RunRow.finish == DELETING))]


def begin_delete(session: Session, run_id: str, deleted_before_s: float | None = None) -> bool:
    """From now on the run is gone for everybody; False when it was already, or never was there.

    `deleted_before_s`: only a run that was deleted for now before that, and not restored since.
    """
    marked = update(RunRow).where(col(RunRow.id) == run_id, col(RunRow.finish).is_distinct_from(DELETING))
    if deleted_before_s is not None:
        marked = marked.where(col(RunRow.deleted_s) < deleted_before_s)
    begun = session.connection().execute(marked.values(finish=DELETING)).rowcount == 1
    session.expire_all()
    return begun


def delete_some(session: Session, run_id: str, rows: int) -> tuple[str, int]:
    """Delete at most `rows` rows of a run whose deletion has begun: (table, how many); ("", 0) when only its own row
    is left, or the deletion has not begun."""
    if not _is_being_deleted(session, run_id):
        return "", 0
    if count := outbox.let_go_of_run(session, run_id, rows):  # what people were told, or were not, stays
        return "outbox", count
    for table, condition in _PIECES:
        statement = f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {condition} LIMIT :rows)"
        if count := session.connection().execute(text(statement), {"run": run_id, "rows": rows}).rowcount:
            return table, count
    return "", 0


def end_delete(session: Session, run_id: str) -> bool:
    """Delete the run's own row, the last one; False, and nothing is done, when its deletion has not begun."""
    ended = delete(_run).where(_run.c.id == run_id, _run.c.finish == DELETING)
    return session.connection().execute(ended).rowcount == 1


def _is_being_deleted(session: Session, run_id: str) -> bool:
    marked = select(RunRow.id).where(RunRow.id == run_id, RunRow.finish == DELETING)
    return session.exec(marked).one_or_none() is not None


def _stored(row: RunRow) -> StoredRun:
    same = {name: getattr(row, name) for name in StoredRun.__dataclass_fields__ if name != "tags"}
    return StoredRun(**same, tags=tuple(json.from_text(row.tags)))
