"""From which step on an attempt trains: that of its first total, out of messages as they were stored.

Rules of this file: pure, and the same as ingest does when messages arrive. What does not decode is passed over; it
knows the protocol and no table, so that a migration may use it.
"""

from collections.abc import Iterable

from lossguard.protocol import BadFrame, BadMessage
from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import Frame, Schema
from lossguard.protocol.names import TOTAL


def first_total(payloads: Iterable[bytes]) -> int | None:
    """The first step of the first frame that holds a total, None without any; given a stream's schemas and frames."""
    totals: set[int] = set()
    for payload in payloads:
        try:
            message = decode_sequenced(payload)
            if isinstance(message, Schema):
                totals |= {series.id for series in message.series if series.name == TOTAL}
            elif isinstance(message, Frame) and not totals.isdisjoint(message.series):
                return int(unpack_frame(message)[0][0])
        except (BadMessage, BadFrame, TypeError):
            continue
    return None
