"""A spool segment as a reader meets it."""

import time

import msgspec
import pytest

from lossguard.protocol.codec import encode
from lossguard.protocol.errors import BadMessage
from lossguard.protocol.messages import Ack, Event, Hello
from lossguard.protocol.spool_format import (
    HEAD,
    MAGIC,
    WINDOW_BYTES,
    Label,
    Scan,
    Skip,
    pack_header,
    pack_label,
    pack_record,
    pack_skip,
    skipped_to,
)
from segments import parse_segment

HELLO = Hello(run="r", project="p", name="n")
OLD_HEADER = MAGIC + pack_record(0, encode(HELLO))  # before there were labels
LABEL = Label(server="ws://a/ws/trainer", is_known=True)
HEADER = pack_header(HELLO, LABEL)
PAYLOADS = [b"", b"a", encode(Event(seq=3, kind="gap", step=0))]


def test_a_whole_segment_is_read_whole() -> None:
    data = HEADER + b"".join(pack_record(seq, payload) for seq, payload in enumerate(PAYLOADS, 7))
    content = parse_segment(data)
    assert (content.hello, content.records, content.damaged_bytes) == (HELLO, list(enumerate(PAYLOADS, 7)), 0)


def test_a_segment_may_hold_nothing_yet() -> None:
    assert parse_segment(HEADER).records == []


def test_a_segment_of_an_older_version_is_read() -> None:
    content = parse_segment(OLD_HEADER + pack_record(1, b"a"))
    assert (content.hello, content.label, content.records) == (HELLO, None, [(1, b"a")])


def test_the_newest_word_on_whose_it_is_counts() -> None:
    later = Hello(run="r", project="p", name="n", attempt=1)
    data = HEADER + pack_record(1, b"a") + pack_record(0, encode(later)) + pack_label(Label()) + pack_record(2, b"b")
    content = parse_segment(data)
    assert (content.hello, content.label, content.records) == (later, Label(), [(1, b"a"), (2, b"b")])


def test_a_flipped_bit_in_the_magic_or_the_first_hello_does_not_make_it_nobodys() -> None:
    data = HEADER + pack_record(1, b"a")
    for at in range(len(OLD_HEADER)):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        content = parse_segment(bytes(damaged))
        assert (content.hello, content.records) == (HELLO, [(1, b"a")])
        assert content.damaged_bytes > 0


def test_a_skip_is_told_from_a_message() -> None:
    ((_, payload),) = parse_segment(HEADER + pack_skip(3, 9)).records
    assert skipped_to(payload) == 9
    assert skipped_to(encode(Event(seq=1, kind="skip", step=0))) is None
    assert skipped_to(b"\x82\xa4type\xa4skip") is None
    assert skipped_to(msgspec.msgpack.encode(Skip(last=1 << 63))) == 1 << 63


def test_a_large_file_is_read_in_windows() -> None:
    records = [pack_record(seq, bytes([seq % 251]) * 100_000) for seq in range(1, 101)]
    damaged = b"\x00" * 3_000_000 + b"\xff" * 3_000_000
    data = HEADER + b"".join(records[:50]) + damaged + b"".join(records[50:])
    asked: list[int] = []

    def read(at: int, count: int) -> bytes:
        asked.append(count)
        return data[at : at + count]

    scan = Scan(read, len(data))
    assert [record.seq for record in scan if record.seq] == list(range(1, 101))
    assert scan.damaged_bytes == len(damaged)
    assert max(asked) <= WINDOW_BYTES


def test_made_up_headers_cannot_cost_more_than_so_much() -> None:
    """Each byte of this looks like the beginning of a record; looking at all their payloads would take hours."""
    head = HEAD.pack(1 << 19, 0, 5)
    data = HEADER + head * ((4 << 20) // len(head))
    scan = Scan(lambda at, count: data[at : at + count], len(data))
    began_s = time.monotonic()
    assert [record.seq for record in scan] == [0, 0, 0]
    assert scan.damaged_bytes == len(data) - len(HEADER)
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "It is no spool segment"),
        (MAGIC[:-1], "It is no spool segment"),
        (MAGIC, "or its header is damaged"),
        (OLD_HEADER[:-1], "or its header is damaged"),
        (MAGIC + pack_record(1, encode(HELLO)), "or its header is damaged"),
        (MAGIC + pack_record(0, b"\xc1"), "or its header is damaged"),
        (MAGIC + pack_record(0, encode(Ack(seq=1))), "or its header is damaged"),
        (MAGIC + pack_record(0, encode(Event(seq=1, kind="gap", step=0))), "or its header is damaged"),
        (MAGIC + pack_label(LABEL), "or its header is damaged"),
    ],
)
def test_a_file_that_cannot_be_delivered_says_why(data: bytes, fault: str) -> None:
    with pytest.raises(BadMessage, match=fault):
        parse_segment(data)


def test_a_length_that_lies_does_not_ask_for_memory() -> None:
    content = parse_segment(HEADER + b"\xff" * 16 + b"rest")
    assert (content.records, content.damaged_bytes) == ([], 20)
