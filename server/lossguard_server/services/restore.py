"""A run from the database into memory: after a restart, or when somebody first looks at it.

Rules of this file: everything that `LiveRun` shows is made from what is committed; nothing is guessed.
"""

from collections.abc import Sequence

from sqlmodel import Session

from lossguard.protocol.messages import Declaration

from ..store import alerts, branches, events, journal, runs
from ..store.columns import VIEW_RANK
from ..store.decoding import definitions_of
from ..store.journal import StreamHead
from ..store.rows import Rows
from .live import LiveRun

TAIL_FRAMES = 64  # the last value of each series: those that come rarely may be missing until their next point


def load_run(session: Session, run_id: str) -> LiveRun | None:
    """The run as the database knows it, or None. Raises StorageError."""
    stored = runs.get(session, run_id)
    if stored is None:
        return None
    counts = {kind: events.count(session, run_id, kind) for kind in ("gap", "trip")}
    run = LiveRun(stored=stored, gaps=counts["gap"], trips=counts["trip"])
    heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
    run.declaration = newest_declaration(session, heads) or run.declaration
    run.rewound(last_rows(session, [(head, head.last_seq) for head in heads]))
    for alert in alerts.open_of(session, run_id):
        run.alert(alert)
    return run


def newest_declaration(session: Session, heads: Sequence[StreamHead]) -> Declaration | None:
    """The last declaration of the newest attempt that made one."""
    for head in reversed(heads):
        declarations, _ = definitions_of(session, head.id, head.last_seq)
        if declarations:
            return declarations[-1]
    return None


def last_rows(session: Session, heads: Sequence[tuple[StreamHead, int]]) -> list[Rows]:
    """The last rows of the newest attempt that has any; `heads` as for branches.shown_tails."""
    return next((rows for rows in branches.shown_tails(session, heads, TAIL_FRAMES) if rows), [])
