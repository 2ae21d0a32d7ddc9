"""A frame is believed only when sizes, steps, ids and checksum agree."""

import msgspec
import numpy as np
import pytest

from lossguard.protocol import BadFrame
from lossguard.protocol.codec import decode_to_server, encode
from lossguard.protocol.errors import BadMessage
from lossguard.protocol.frames import MAX_STEP, checksum, pack_frame, unpack_frame
from lossguard.protocol.messages import Frame

COLUMNS = np.array([[1.0, 2.0, 3.0], [-0.0, np.inf, np.nan]])


def frame_of(steps: list[int]) -> Frame:
    return pack_frame(5, np.array(steps), [4, 9], COLUMNS, time_s=12.5)


def signed(frame: Frame) -> Frame:
    """The frame with the checksum that a liar would give it."""
    crc = checksum(
        frame.seq % (1 << 64), frame.first_step, frame.n % (1 << 32), [i % (1 << 32) for i in frame.series],
        frame.values, frame.steps,
    )  # fmt: skip
    return msgspec.structs.replace(frame, crc=crc)


def lie(**changes: object) -> Frame:
    return signed(msgspec.structs.replace(frame_of([7, 8, 9]), **changes))


def packed(*steps: int) -> bytes:
    return np.array(steps, dtype="<i8").tobytes()


def test_consecutive_steps_are_not_sent() -> None:
    assert (frame_of([7, 8, 9]).steps, frame_of([7, 8, 10]).steps) == (b"", packed(7, 8, 10))
    assert frame_of([7, 9, 9 + 1]).steps == packed(7, 9, 10)
    steps, _ = unpack_frame(frame_of([7, 8, 9]))
    assert steps.tolist() == [7, 8, 9]
    assert steps.dtype == np.int64


def test_columns_come_back_in_their_order() -> None:
    _, columns = unpack_frame(frame_of([7, 8, 10]))
    assert columns.shape == (2, 3)
    assert columns.tobytes() == COLUMNS.tobytes()


def test_the_last_possible_step_is_a_step() -> None:
    top = pack_frame(1, np.array([MAX_STEP - 1, MAX_STEP]), [0], np.zeros((1, 2)))
    assert unpack_frame(top)[0].tolist() == [MAX_STEP - 1, MAX_STEP]
    alone = pack_frame(1, np.array([MAX_STEP]), [0], np.zeros((1, 1)))
    assert unpack_frame(alone)[0].tolist() == [MAX_STEP]


LIES = {
    "no steps": lie(n=0, values=b""),
    "negative count": lie(n=-3),
    "no series": lie(series=[], values=b""),
    "count too high": lie(n=4),
    "count far too high": lie(n=1 << 60),
    "values too short": lie(values=b"\0" * 47),
    "values too long": lie(values=b"\0" * 56),
    "no values": lie(values=b""),
    "steps too short": lie(steps=packed(7, 8)),
    "steps too long": lie(steps=packed(7, 8, 9, 10)),
    "steps torn": lie(steps=packed(7, 8, 9)[:-1]),
    "steps that fall": lie(steps=packed(7, 9, 8)),
    "steps that stand": lie(steps=packed(7, 7, 8)),
    "steps that begin elsewhere": lie(steps=packed(6, 8, 9)),
    "steps beyond JavaScript": lie(steps=packed(7, 8, MAX_STEP + 1)),
    "steps that wrap around": lie(
        n=4, first_step=0, values=b"\0" * 64, steps=packed(0, (1 << 63) - 1, -2, 3)
    ),
    "negative step": lie(first_step=-1),
    "negative steps": lie(first_step=-9, steps=packed(-9, 8, 9)),
    "first step too high": lie(first_step=MAX_STEP - 1),
    "repeated id": lie(series=[4, 4]),
    "negative id": lie(series=[-1, 4]),
    "id too high": lie(series=[4, 1 << 32]),
    "seq zero": lie(seq=0),
    "seq negative": lie(seq=-1),
    "seq too high": lie(seq=1 << 63),
}  # fmt: skip


@pytest.mark.parametrize("frame", LIES.values(), ids=LIES.keys())
def test_a_lie_with_a_right_checksum_is_found(frame: Frame) -> None:
    with pytest.raises(BadFrame):
        unpack_frame(frame)


def test_a_wrong_checksum_is_found() -> None:
    frame = frame_of([7, 8, 9])
    with pytest.raises(BadFrame, match="damaged on the way"):
        unpack_frame(msgspec.structs.replace(frame, crc=frame.crc ^ 1))


@pytest.mark.parametrize("steps", [[7, 8, 9], [7, 8, 10]])
def test_no_flipped_bit_changes_a_number_unseen(steps: list[int]) -> None:
    honest = frame_of(steps)
    data = encode(honest)
    unseen = []
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            frame = decode_to_server(bytes(damaged))
            assert isinstance(frame, Frame)
            got, columns = unpack_frame(frame)
        except (BadMessage, BadFrame):
            continue
        # what the checksum leaves out is the label of time, and an empty field that is the default
        assert (frame.seq, frame.series, got.tolist(), columns.tobytes()) == (5, [4, 9], steps, COLUMNS.tobytes())
        unseen.append(bit)
    fields = [(b"time_s", 9), *([] if honest.steps else [(b"steps", 2)])]  # name, bytes of its value; a byte leads each
    harmless = {data.index(name) - 1 + at for name, size in fields for at in range(1 + len(name) + size)}
    assert {bit // 8 for bit in unseen} <= harmless
