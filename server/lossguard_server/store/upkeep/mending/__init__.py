"""Makes a whole of the rows that were saved from a damaged database.

Rules of this package:
- Nothing is invented: what is lost is recorded as a gap, with steps where what is left tells them.
- Parents first (owners.py), then of each stream its messages (messages.py) and its folded series (series.py).
- Whatever a full examination finds wrong with the rows is mended here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session

from ..salvage import Row
from . import beginnings, messages, owners, series
from .recorder import Recorder


@dataclass(frozen=True)
class LostKeys:
    """What indices of the damaged file still name: of what is lost (stream_id, seq) of messages and (id, run_id, rank,
    attempt) of streams; of all parts (id, stream_id, name); and the parts of which a chunk is lost."""

    messages: Sequence[Row]
    streams: Sequence[Row]
    parts: Sequence[Row]
    cut_parts: Collection[int]


def mend(session: Session, lost: LostKeys, wall_s: float) -> list[str]:
    """Make what was copied consistent; returns what had to be done, a sentence each.

    The session's connection must not enforce foreign keys: SQLite counts broken ones wrongly that it did not see break.
    """
    connection = session.connection()
    done = [*owners.restore_streams(connection, lost.streams), *owners.restore_runs(connection)]
    done += series.restore_parts(session, lost.parts, lost.cut_parts, wall_s)
    done += owners.drop_orphans(connection)
    named: dict[int, set[int]] = {}
    for stream_id, seq in lost.messages:
        named.setdefault(stream_id, set()).add(seq)
    for stream_id, run_id in connection.execute(text("SELECT id, run_id FROM stream")).all():
        recorder = Recorder(session, run_id, stream_id, wall_s)
        done += messages.fill(recorder, named.get(stream_id, set()))
        done += series.rebuild(recorder)
    beginnings.backfill(connection)
    return done
