"""A spool segment as a reader meets it."""

import pytest

from lossguard.protocol.codec import encode
from lossguard.protocol.errors import BadMessage
from lossguard.protocol.messages import Ack, Event, Hello
from lossguard.protocol.spool_format import MAGIC, pack_record, parse_segment

HELLO = Hello(run="r", project="p", name="n")
HEADER = MAGIC + pack_record(0, encode(HELLO))
PAYLOADS = [b"", b"a", encode(Event(seq=3, kind="gap", step=0))]


def test_a_whole_segment_is_read_whole() -> None:
    data = HEADER + b"".join(pack_record(seq, payload) for seq, payload in enumerate(PAYLOADS, 7))
    content = parse_segment(data)
    assert (content.hello, content.records, content.damaged_bytes) == (HELLO, list(enumerate(PAYLOADS, 7)), 0)


def test_a_segment_may_hold_nothing_yet() -> None:
    assert parse_segment(HEADER).records == []


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "It is no spool segment"),
        (MAGIC[:-1], "It is no spool segment"),
        (b"LGSPOOL2" + HEADER[8:], "It is no spool segment"),
        (MAGIC, "The segment's header is damaged"),
        (HEADER[:-1], "The segment's header is damaged"),
        (MAGIC + pack_record(1, encode(HELLO)), "The segment's header is damaged"),
        (MAGIC + pack_record(0, b"\xc1"), "The bytes are not a lossguard message"),
        (MAGIC + pack_record(0, encode(Ack(seq=1))), "The bytes are not a lossguard message"),
        (MAGIC + pack_record(0, encode(Event(seq=1, kind="gap", step=0))), "The segment's header is no Hello"),
    ],
)
def test_a_file_that_cannot_be_delivered_says_why(data: bytes, fault: str) -> None:
    with pytest.raises(BadMessage, match=fault):
        parse_segment(data)


def test_a_length_that_lies_does_not_ask_for_memory() -> None:
    content = parse_segment(HEADER + b"\xff" * 16 + b"rest")
    assert (content.records, content.damaged_bytes) == ([], 20)
