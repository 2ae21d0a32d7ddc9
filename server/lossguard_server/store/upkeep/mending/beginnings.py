"""Streams that do not know from which step on they train: those of version 1, and those that were made anew.

Rules of this file: folded points came before what is still in the journal.
"""

from sqlalchemy import Connection, text

from lossguard.protocol.names import TOTAL

from ..first_total import first_total


def backfill(connection: Connection) -> None:
    """Set `begins_step` of every stream that has a total and does not know it."""
    for (stream_id,) in connection.execute(text("SELECT id FROM stream WHERE begins_step IS NULL")).all():
        if (step := _begins_step(connection, stream_id)) is not None:
            set_ = text("UPDATE stream SET begins_step = :step WHERE id = :id")
            connection.execute(set_, {"step": step, "id": stream_id})


def _begins_step(connection: Connection, stream_id: int) -> int | None:
    folded = "SELECT first_step FROM part WHERE stream_id = :id AND name = :name ORDER BY first_seq, id LIMIT 1"
    step: int | None = connection.execute(text(folded), {"id": stream_id, "name": TOTAL}).scalar()
    if step is not None:
        return step
    asked = "SELECT payload FROM journal WHERE stream_id = :id AND kind IN ('schema', 'frame') ORDER BY seq"
    with connection.execute(text(asked), {"id": stream_id}) as rows:
        return first_total(row[0] for row in rows)
