"""Messages of the journal, as they are read back.

Rules of this file: what was checked before it was stored is expected to decode; what does not is JournalDamaged.
"""

from collections.abc import Iterator, Sequence

from sqlmodel import Session

from lossguard.protocol import BadFrame, BadMessage
from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import Declaration, Event, Frame, Schema, Sequenced

from ..errors import JournalDamaged
from . import journal
from .journal import Entry
from .rows import Layouts, Rows


def decode_rows(page: Sequence[Entry], names: dict[int, str], layouts: Layouts) -> list[Rows]:
    """The rows of a page of the journal; `names` learns from the schemas on it. Raises JournalDamaged."""
    return [rows for _, rows in decode_arrivals(page, names, layouts)]


def decode_arrivals(page: Sequence[Entry], names: dict[int, str], layouts: Layouts) -> list[tuple[int, Rows]]:
    """As `decode_rows`, each with the number of the message that it came with."""
    found = []
    for entry in page:
        if entry.kind not in (journal.FRAME, journal.SCHEMA):
            continue
        try:
            message = decode_sequenced(entry.payload)
            if isinstance(message, Schema):
                names.update({series.id: series.name for series in message.series})
            elif isinstance(message, Frame):
                found.append((entry.seq, layouts.rows(message.series, *unpack_frame(message))))
        except (BadMessage, BadFrame, KeyError) as error:
            raise JournalDamaged(f"It is message {entry.seq}: {error}") from error
    return found


def definitions(entries: Sequence[Entry]) -> tuple[list[Declaration], list[Schema]]:
    """The declarations and schemas among stored messages. Raises JournalDamaged."""
    messages = [_decoded(entry) for entry in entries if entry.kind != journal.FRAME]
    return (
        [message for message in messages if isinstance(message, Declaration)],
        [message for message in messages if isinstance(message, Schema)],
    )


def _decoded(entry: Entry) -> Sequenced:
    try:
        return decode_sequenced(entry.payload)
    except BadMessage as error:
        raise JournalDamaged(f"It is message {entry.seq}: {error}") from error


def told(session: Session, stream_id: int, up_to_seq: int | None = None) -> Iterator[Declaration | Event]:
    """What a stream's trainer declared and told, in order. Raises JournalDamaged."""
    for entry in journal.read_told(session, stream_id):
        if up_to_seq is not None and entry.seq > up_to_seq:
            return
        message = _decoded(entry)
        if isinstance(message, Declaration | Event):
            yield message


def definitions_of(session: Session, stream_id: int, up_to_seq: int) -> tuple[list[Declaration], list[Schema]]:
    """The declarations and schemas that a stream had made by `up_to_seq`."""
    known = journal.read_definitions(session, stream_id)
    return definitions([entry for entry in known if entry.seq <= up_to_seq])


def names_of(session: Session, stream_id: int, up_to_seq: int) -> dict[int, str]:
    """The series that a stream had named by `up_to_seq`."""
    _, schemas = definitions_of(session, stream_id, up_to_seq)
    return {series.id: series.name for schema in schemas for series in schema.series}
