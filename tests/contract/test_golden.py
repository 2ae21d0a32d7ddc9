"""Frames of every protocol version are kept and decoded for ever.

To keep the frames of a new version: add a folder tests/golden/VERSION with one file a message, written by `encode`.
Never change a file that is there.
"""

from pathlib import Path

import pytest

from lossguard.protocol import PROTOCOL_VERSION
from lossguard.protocol.codec import decode_to_server, decode_to_trainer
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import Frame

GOLDEN = Path(__file__).parents[1] / "golden"
TO_TRAINER = {"welcome", "ack", "nack", "refusal", "hold", "command"}
FILES = sorted(GOLDEN.glob("*/*.msgpack"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_old_frames_are_understood(path: Path) -> None:
    decode = decode_to_trainer if path.stem in TO_TRAINER else decode_to_server
    message = decode(path.read_bytes())
    assert type(message).__struct_config__.tag == path.stem
    if isinstance(message, Frame):
        steps, columns = unpack_frame(message)
        assert steps.tolist() == [7, 8]
        assert columns.tobytes().hex() == (
            "000000000000f03f010000000000f87f000000000000f0ff0000000000000080"
        )  # 1.0, NaN with payload 1, -Inf, -0.0


def test_this_version_has_its_frames() -> None:
    tags = {path.stem for path in FILES if path.parent.name == PROTOCOL_VERSION}
    assert tags == TO_TRAINER | {"hello", "declaration", "schema", "frame", "event", "heartbeat"}
