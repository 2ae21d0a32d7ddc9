"""What is owed to channels: queries.

    held --time over, alone--> owed --told--> delivered        held --time over, with others--> folded (into a digest)
                                 +--no use--> given_up         held, owed --not wanted any more--> dropped

Rules of this file:
- A key is put once: the same news again changes nothing. So whoever owes may owe twice.
- `owed_s` is when something was to be told for the first time; what is told again and again is one page.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, text
from sqlmodel import Session, col, select

from . import json
from .tables import AlertRow, OutboxRow

HELD, OWED, DELIVERED, GIVEN_UP, DROPPED, FOLDED = "held", "owed", "delivered", "given_up", "dropped", "folded"
WAITING = (HELD, OWED)
TOLD = (OWED, DELIVERED, GIVEN_UP, FOLDED)  # was told, or would have been
SAID_CHARS = 2_000
RUN_DELETED = "The run was deleted."
# the row's number makes the new key one that no other row has
_LET_GO = text(
    "UPDATE outbox SET run_id = NULL, key = key || ':deleted:' || rowid,"
    " said = CASE WHEN state IN ('held', 'owed') THEN :said ELSE said END,"
    " state = CASE WHEN state IN ('held', 'owed') THEN 'given_up' ELSE state END WHERE rowid = :row"
)


@dataclass(frozen=True)
class Notice:
    """A notification. `body`: {"news": [...], "count"} of services/notifying. Times are epoch seconds."""

    key: str
    channel: str
    run: str | None
    incident: str
    state: str
    tries: int
    created_s: float
    owed_s: float
    due_s: float
    body: dict[str, Any]
    said: str | None = None


def put(session: Session, notice: Notice) -> bool:
    """Store the notice; False when there is one of its key, which stays as it is."""
    if session.get(OutboxRow, notice.key) is not None:
        return False
    fields = {name: value for name, value in notice.__dict__.items() if name not in ("channel", "run", "body")}
    session.add(OutboxRow(**fields, channel_id=notice.channel, run_id=notice.run, body=json.to_text(notice.body)))
    session.flush()
    return True


def told_s(
    session: Session, channel_id: str, since_s: float, incident: str | None = None, key_begins: str = ""
) -> list[float]:
    """When the channel was told of anything, or of the incident, since then; only of keys that begin so."""
    statement = select(OutboxRow.owed_s).where(
        OutboxRow.channel_id == channel_id, col(OutboxRow.state).in_(TOLD), col(OutboxRow.owed_s) > since_s
    )
    if key_begins:
        statement = statement.where(col(OutboxRow.key).startswith(key_begins, autoescape=True))
    if incident is not None:
        # however many pieces of its news went with one digest, that was one message
        return list(session.exec(statement.where(OutboxRow.incident == incident).distinct()))
    # what went with a digest was no message of its own
    return list(session.exec(statement.where(OutboxRow.state != FOLDED)))


def due(session: Session, now_s: float, without: Collection[str] = (), longest_s: float = math.inf) -> list[Notice]:
    """The notice of each channel that is to be tried now and was due first, but for the channels `without`. What would
    be due later than in `longest_s` was put off by a clock that was set back since: it is due now."""
    waiting = (OutboxRow.state == OWED, _is_over(now_s, longest_s))
    first = select(OutboxRow.channel_id, func.min(OutboxRow.due_s)).where(*waiting).group_by(col(OutboxRow.channel_id))
    found: list[Notice] = []
    for channel_id, due_s in session.exec(first).all():
        if channel_id not in without:
            its = (OutboxRow.channel_id == channel_id, OutboxRow.due_s == due_s, *waiting)
            found += map(_of, session.exec(select(OutboxRow).where(*its).order_by(col(OutboxRow.created_s)).limit(1)))
    return found


def next_due_s(session: Session, without: Collection[str] = ()) -> float | None:
    """When the next notice is to be told or let go on, but for the channels `without`; None when nothing waits."""
    waiting = (col(OutboxRow.state).in_(WAITING), col(OutboxRow.channel_id).not_in(without))
    return session.exec(select(func.min(OutboxRow.due_s)).where(*waiting)).one()


def held_over(session: Session, now_s: float, longest_s: float = math.inf) -> list[Notice]:
    """What was held until now, oldest first; `longest_s` as in `due`."""
    rows = session.exec(
        select(OutboxRow)
        .where(OutboxRow.state == HELD, _is_over(now_s, longest_s))
        .order_by(col(OutboxRow.created_s), col(OutboxRow.key))
    )
    return [_of(row) for row in rows]


def move(session: Session, key: str, state: str, **changed: Any) -> bool:
    """The notice is in `state` from now on, and what else changed; False when it waits no longer."""
    row = session.get(OutboxRow, key)
    if row is None or row.state not in WAITING:
        return False
    row.state = state
    for name, value in changed.items():
        setattr(row, name, value)
    return True


def held_for(session: Session, channel_id: str) -> list[Notice]:
    """What is held for the channel, oldest first."""
    held = (OutboxRow.channel_id == channel_id, OutboxRow.state == HELD)
    order = (col(OutboxRow.created_s), col(OutboxRow.key))
    return [_of(row) for row in session.exec(select(OutboxRow).where(*held).order_by(*order))]


def let_go_of_run(session: Session, run_id: str, rows: int) -> int:
    """Of a run that is being deleted at most so many notices: what waits is given up, and all of them stay, without
    the run and under another key, so that a new run of that id may owe the same. How many there were."""
    its = text("SELECT rowid FROM outbox WHERE run_id = :run LIMIT :rows")
    found = [row[0] for row in session.connection().execute(its, {"run": run_id, "rows": rows})]
    if found:
        session.connection().execute(_LET_GO, [{"row": row, "said": RUN_DELETED} for row in found])
        session.expire_all()
    return len(found)


def give_up_all(session: Session, channel_id: str, said: str) -> None:
    """Whatever still waits for the channel is not told."""
    waiting = (OutboxRow.channel_id == channel_id, col(OutboxRow.state).in_(WAITING))
    for row in session.exec(select(OutboxRow).where(*waiting)):
        row.state, row.said = GIVEN_UP, said


def newest_first(session: Session, limit: int) -> list[Notice]:
    """The last notices, whatever became of them."""
    order = (col(OutboxRow.created_s).desc(), col(OutboxRow.key))
    return [_of(row) for row in session.exec(select(OutboxRow).order_by(*order).limit(limit))]


def silenced(session: Session, alert_ids: Sequence[str], now_s: float) -> set[str]:
    """Those of the alerts that a person wants to hear nothing of at present."""
    rows = session.exec(
        select(AlertRow.id).where(col(AlertRow.id).in_(alert_ids), col(AlertRow.silenced_until_s) > now_s)
    )
    return set(rows)


def prune(session: Session, before_s: float, keep: int) -> int:
    """Forget what is over and older than that, or beyond the newest `keep`; how many rows."""
    over = col(OutboxRow.state).not_in(WAITING)
    newest = select(OutboxRow.created_s).where(over).order_by(col(OutboxRow.created_s).desc()).offset(keep).limit(1)
    oldest_s = session.exec(newest).one_or_none()
    old = col(OutboxRow.created_s) < before_s
    crowded = col(OutboxRow.created_s) <= (before_s if oldest_s is None else oldest_s)
    done = session.connection().execute(delete(OutboxRow).where(over, or_(old, crowded)))
    session.expire_all()
    return done.rowcount


def _is_over(now_s: float, longest_s: float) -> ColumnElement[bool]:
    due_s = col(OutboxRow.due_s)
    return due_s <= now_s if math.isinf(longest_s) else or_(due_s <= now_s, due_s > now_s + longest_s)


def _of(row: OutboxRow) -> Notice:
    return Notice(
        row.key, row.channel_id, row.run_id, row.incident, row.state, row.tries,
        row.created_s, row.owed_s, row.due_s, json.from_text(row.body), row.said,
    )  # fmt: skip
