"""A run from the database into memory: after a restart, or when somebody first looks at it.

Rules of this file: everything that `LiveRun` shows is made from what is committed; nothing is guessed.
"""

import logging
from collections.abc import Sequence

from sqlmodel import Session

from lossguard.protocol.messages import Declaration, Event

from ..errors import JournalDamaged
from ..store import alerts, branches, decoding, events, journal, runs
from ..store.columns import VIEW_RANK
from ..store.decoding import definitions_of
from ..store.journal import StreamHead
from ..store.rows import Rows
from . import rank_stats
from .live import LiveRun
from .resuming import fold_of

RESTORED_RANKS = 64  # of more, the rest are shown when they send again
TAIL_FRAMES = 64  # the last value of each series: those that come rarely may be missing until their next point

log = logging.getLogger(__name__)


def load_run(session: Session, run_id: str) -> LiveRun | None:
    """The run as the database knows it, or None. Raises StorageError."""
    stored = runs.get(session, run_id)
    if stored is None:
        return None
    counts = {kind: events.count(session, run_id, kind) for kind in ("gap", "trip")}
    run = LiveRun(stored=stored, gaps=counts["gap"], trips=counts["trip"])
    every = journal.streams(session, run_id)
    heads = [head for head in every if head.key.rank == VIEW_RANK]
    _declare(session, run, heads)
    run.rewound(last_rows(session, [(head, head.last_seq) for head in heads]))
    if stored.world_size > 1:
        _restore_ranks(session, run, [head for head in every if head.key.attempt == stored.attempt])
    for alert in alerts.open_of(session, run_id):
        run.alert(alert)
    return run


def _declare(session: Session, run: LiveRun, heads: Sequence[StreamHead]) -> None:
    """What the newest attempt that declared anything says of itself, and did to its schedule."""
    found = _newest_declaration(session, heads)
    if found is None:
        return
    head, declaration = found
    run.declare(declaration, head.key.attempt)
    # most runs are steered by nobody: their events need not be read
    if declaration.operations or any(events.count(session, run.id, kind) for kind in ("command", "resume")):
        try:
            run.steering = fold_of(session, head.id)
        except JournalDamaged as error:  # the rest of the run can be shown
            log.warning("run %s is shown as if nobody had steered it: %s", run.id, error)


def _restore_ranks(session: Session, run: LiveRun, heads: Sequence[StreamHead]) -> None:
    """From what the ranks sent last; whose clock was ahead of another's may have its first bad step from before a
    rollback."""
    known = sorted(heads, key=lambda head: head.key.rank)[:RESTORED_RANKS]
    told = [
        (message.time_s, head.key.rank, message)
        for head in known
        for message in decoding.told(session, head.id)
        if isinstance(message, Event) and message.kind in (*rank_stats.BAD_EVENTS, "rollback")
    ]
    for _, rank, event in sorted(told, key=lambda each: each[0]):
        run.tell_rank(rank, event)
    for head in known:
        for rows in next(branches.shown_tails(session, [(head, head.last_seq)], rank_stats.WINDOW, rank_stats.WINDOW)):
            run.ranks.observe(head.key.rank, rows)


def _newest_declaration(session: Session, heads: Sequence[StreamHead]) -> tuple[StreamHead, Declaration] | None:
    """The last declaration of the newest attempt that made one."""
    for head in reversed(heads):
        declarations, _ = definitions_of(session, head.id, head.last_seq)
        if declarations:
            return head, declarations[-1]
    return None


def last_rows(session: Session, heads: Sequence[tuple[StreamHead, int]]) -> list[Rows]:
    """The last rows of the newest attempt that has any; `heads` as for branches.shown_tails."""
    return next((rows for rows in branches.shown_tails(session, heads, TAIL_FRAMES) if rows), [])
