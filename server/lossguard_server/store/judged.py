"""How far the rules have judged what is stored of a run: a query."""

from sqlalchemy import func, select
from sqlmodel import Session

from . import journal
from .columns import VIEW_RANK
from .tables import JournalRow, table_of

_journal = table_of(JournalRow)
_c = _journal.c


def judged_to(session: Session, run_id: str) -> int | None:
    """Every row up to this step was judged, and there are later ones that were not; None when all were.

    Frames that were not judged are in the journal: folding leaves them there.
    """
    firsts = []
    for head in journal.streams(session, run_id):
        if head.key.rank == VIEW_RANK and head.judged_seq < head.last_seq:
            is_waiting = (_c.stream_id == head.id, _c.seq > head.judged_seq, _c.kind == journal.FRAME)
            firsts.append(session.connection().execute(select(func.min(_c.first_step)).where(*is_waiting)).scalar())
    found = [first for first in firsts if first is not None]
    return min(found) - 1 if found else None
