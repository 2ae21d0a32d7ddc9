"""A run from the database into memory: after a restart, or when somebody first looks at it.

Rules of this file: everything that `LiveRun` shows is made from what is committed; nothing is guessed.
"""

from collections.abc import Sequence

from sqlmodel import Session

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.messages import Declaration, Schema

from ..store import alerts, events, journal, runs
from ..store.columns import VIEW_RANK, decode_rows
from ..store.journal import Entry, StreamHead
from ..store.rows import Layouts
from .live import LiveRun

TAIL_FRAMES = 64  # the last value of each series: those that come rarely may be missing until their next point


def load_run(session: Session, run_id: str) -> LiveRun | None:
    """The run as the database knows it, or None. Raises StorageError."""
    stored = runs.get(session, run_id)
    if stored is None:
        return None
    run = LiveRun(stored=stored, gaps=events.count(session, run_id, "gap"))
    heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
    run.declaration = newest_declaration(session, heads) or run.declaration
    for head in reversed(heads):
        if _take_values(session, head, run):
            break
    for alert in alerts.open_of(session, run_id):
        run.alert(alert)
    return run


def newest_declaration(session: Session, heads: Sequence[StreamHead]) -> Declaration | None:
    """The last declaration of the newest attempt that made one."""
    for head in reversed(heads):
        declarations, _ = definitions(journal.read_definitions(session, head.id))
        if declarations:
            return declarations[-1]
    return None


def definitions(entries: Sequence[Entry]) -> tuple[list[Declaration], list[Schema]]:
    """The declarations and schemas among stored messages."""
    messages = [decode_sequenced(entry.payload) for entry in entries if entry.kind != journal.FRAME]
    return (
        [message for message in messages if isinstance(message, Declaration)],
        [message for message in messages if isinstance(message, Schema)],
    )


def names_of(session: Session, stream_id: int, up_to_seq: int) -> dict[int, str]:
    """The series that a stream had named by `up_to_seq`."""
    known = [entry for entry in journal.read_definitions(session, stream_id) if entry.seq <= up_to_seq]
    _, schemas = definitions(known)
    return {series.id: series.name for schema in schemas for series in schema.series}


def _take_values(session: Session, head: StreamHead, run: LiveRun) -> bool:
    tail = journal.read_tail(session, head.id, head.last_seq, TAIL_FRAMES)
    names = names_of(session, head.id, head.last_seq)
    for rows in decode_rows(tail, names, Layouts(names)):
        run.step = int(rows.steps[-1])
        run.values.update(zip(rows.names, rows.columns[:, -1].tolist(), strict=True))
    return bool(tail)
