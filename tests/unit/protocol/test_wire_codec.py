"""Bytes that are no message, and which errors are worth another try."""

import msgspec
import pytest

from lossguard.protocol import (
    BadFrame,
    BadMessage,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    is_retryable,
)
from lossguard.protocol.codec import decode_sequenced, decode_to_server, decode_to_trainer, encode
from lossguard.protocol.messages import MAX_MESSAGE_BYTES, Ack, Event, Hello

DECODERS = [decode_to_server, decode_to_trainer, decode_sequenced]
NOT_MESSAGES = {
    "nothing": b"",
    "nil": b"\xc0",
    "text": msgspec.msgpack.encode("hello"),
    "no type": msgspec.msgpack.encode({"seq": 1}),
    "unknown type": msgspec.msgpack.encode({"type": "hallo", "seq": 1}),
    "missing field": msgspec.msgpack.encode({"type": "event"}),
    "wrong field type": msgspec.msgpack.encode({"type": "event", "seq": "1", "kind": "gap", "step": 1}),
    "two messages": encode(Ack(seq=1)) + encode(Ack(seq=2)),
    "deep": b"\x82\xa4type\xa5event\xa4data" + b"\x91" * 100_000,
    "map as a key": b"\x85\xa4type\xa5event\xa3seq\x01\xa4kind\xa3gap\xa4step\x01\xa4data\x81\xa1a\x81\x80\x01",
    "broken text": b"\x84\xa4type\xa5event\xa3seq\x01\xa4step\x01\xa4kind\xa2\xff\xfe",
}


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("data", NOT_MESSAGES.values(), ids=NOT_MESSAGES.keys())
def test_what_is_no_message_is_said_to_be_none(decode: type, data: bytes) -> None:
    with pytest.raises(BadMessage, match=r"^The bytes are not a lossguard message\. "):
        decode(data)


def test_a_message_of_the_other_direction_is_refused() -> None:
    with pytest.raises(BadMessage):
        decode_to_server(encode(Ack(seq=1)))
    with pytest.raises(BadMessage):
        decode_to_trainer(encode(Hello(run="r", project="p", name="n")))
    with pytest.raises(BadMessage):
        decode_sequenced(encode(Hello(run="r", project="p", name="n")))


def test_the_size_is_looked_at_before_anything_is_parsed() -> None:
    envelope = len(encode(Event(seq=1, kind="gap", step=0, data={"a": "x" * 70_000}))) - 70_000
    fits = encode(Event(seq=1, kind="gap", step=0, data={"a": "x" * (MAX_MESSAGE_BYTES - envelope)}))
    assert len(fits) == MAX_MESSAGE_BYTES
    assert decode_to_server(fits).kind == "gap"  # type: ignore[union-attr]
    with pytest.raises(BadMessage, match="It has 1048577 bytes; at most 1048576 are allowed"):
        decode_to_server(b"\xc1" * (MAX_MESSAGE_BYTES + 1))


def test_a_field_of_a_later_version_is_skipped() -> None:
    later = msgspec.msgpack.encode({"type": "ack", "seq": 7, "colour": "blue", "nested": {"a": [1]}})
    assert decode_to_trainer(later) == Ack(seq=7)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (BadFrame(), True),
        (BadMessage(), True),
        (RemoteProtocolError(), True),
        (ConnectionResetError(), True),
        (LocalProtocolError(), False),
        (ProtocolError(), False),
        (ValueError(), False),
    ],
)
def test_our_own_misuse_would_only_repeat(error: Exception, again: bool) -> None:
    assert is_retryable(error) is again


def test_an_error_reads_as_its_sentence_and_its_detail() -> None:
    assert str(BadFrame("It has 3 bytes.")) == "The frame's columns, sizes or checksum do not agree. It has 3 bytes."
    assert BadFrame("It has 3 bytes.").detail == "It has 3 bytes."
    assert str(BadFrame()) == "The frame's columns, sizes or checksum do not agree."
