"""Whatever the bytes are, the outcome is a message or the typed error."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import examples, wire_values
from lossguard.protocol.codec import decode_sequenced, decode_to_server, decode_to_trainer
from lossguard.protocol.errors import BadFrame, BadMessage
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import Frame
from lossguard.protocol.spool_format import MAGIC, pack_record
from segments import parse_segment

GOLDEN = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "golden").glob("*/*.msgpack"))]
DECODERS: list[Callable[[bytes], object]] = [decode_to_server, decode_to_trainer, decode_sequenced]
TAGS = ["hello", "declaration", "schema", "frame", "event", "heartbeat", "welcome", "ack", "nack", "refusal", "command"]
FIELDS = [
    "seq", "last_seq", "expected", "id", "number", "kind", "args", "step", "data", "series", "values", "steps", "n",
    "first_step", "crc", "time_s", "run", "project", "name", "error", "message", "components", "stages", "controls",
]  # fmt: skip


def outcome(data: bytes) -> None:
    """Decode as every reader does; anything but a message or the typed error fails the test."""
    for decode in DECODERS:
        try:
            message = decode(data)
            if isinstance(message, Frame):
                unpack_frame(message)
        except (BadMessage, BadFrame):
            pass


@examples(300)
@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    outcome(data)


@examples(300)
@given(st.sampled_from(TAGS), st.dictionaries(st.sampled_from(FIELDS), wire_values, max_size=9))
def test_maps_that_look_like_messages(tag: str, fields: dict[str, Any]) -> None:
    outcome(msgspec.msgpack.encode({"type": tag, **fields}))


@examples(300)
@given(st.sampled_from(GOLDEN), st.data())
def test_true_messages_with_damage(golden: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(golden)
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(damaged)))
        cut = draw.draw(st.integers(0, 3))
        damaged[at : at + cut] = draw.draw(st.binary(max_size=3))
    outcome(bytes(damaged))


@pytest.mark.parametrize("golden", GOLDEN, ids=range(len(GOLDEN)))
def test_true_messages_cut_anywhere(golden: bytes) -> None:
    for at in range(len(golden)):
        with pytest.raises(BadMessage):
            (decode_to_trainer if b"welcome" in golden else decode_to_server)(golden[:at])


@examples(300)
@given(
    st.binary(max_size=120)
    | st.binary(max_size=120).map(lambda tail: MAGIC + tail)
    | st.sampled_from(GOLDEN).map(lambda payload: MAGIC + pack_record(0, payload))
)
def test_segments(data: bytes) -> None:
    try:
        content = parse_segment(data)
    except BadMessage:
        return
    assert 0 <= content.damaged_bytes < len(data)
