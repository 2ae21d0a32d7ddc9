"""Folding in a course of faults: the store's own, run to its end on its own writer."""

from lossguard_server.store import journal
from lossguard_server.store.database import Database
from lossguard_server.store.folded import folding
from lossguard_server.store.journal import StreamHead
from lossguard_server.store.writer import Writer

PASS_BYTES = 400  # a few messages a pass, so that a power cut finds folding at work


def fold(writer: Writer, database: Database) -> None:
    """Everything that is stored counts as judged, and moves from the journal into chunks."""
    with database.reading() as session:
        heads = [head for run in ("r0", "r1") for head in journal.streams(session, run)]
    for head in heads:
        writer.submit(lambda session, h=head: journal.set_judged(session, h.id, h.last_seq)).result(10)
        while _pass(writer, database, head):
            pass


def _pass(writer: Writer, database: Database, head: StreamHead) -> bool:
    with database.reading() as session:
        found = folding.plan(session, head.id, page_bytes=PASS_BYTES)
    if found is None:
        return False
    folded = folding.fold(found)
    return writer.submit(lambda session: folding.store(session, folded)).result(10)
