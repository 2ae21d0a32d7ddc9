"""A spool segment read whole, for tests that look at what lies in a folder."""

from dataclasses import dataclass

from lossguard.protocol.errors import BadMessage
from lossguard.protocol.messages import Hello
from lossguard.protocol.spool_format import Label, Scan, about


@dataclass(frozen=True)
class SegmentContent:
    """What a segment holds: its stream, (seq, payload) records, and how many bytes could not be read."""

    hello: Hello
    records: list[tuple[int, bytes]]
    damaged_bytes: int
    label: Label | None = None


def parse_segment(data: bytes) -> SegmentContent:
    """Raises BadMessage when it does not say whose it is."""
    scan = Scan(lambda at, count: data[at : at + count], len(data))
    hello, label = None, None
    records: list[tuple[int, bytes]] = []
    for record in scan:
        if record.seq > 0:
            records.append((record.seq, record.payload))
            continue
        match about(record.payload):
            case Hello() as said:
                hello = said
            case Label() as said:
                label = said
    if hello is None:
        raise BadMessage("It is no spool segment, or its header is damaged.")
    return SegmentContent(hello, records, scan.damaged_bytes, label)
