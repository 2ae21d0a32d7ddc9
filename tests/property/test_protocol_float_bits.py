"""Every bit pattern of a float64 passes a frame unchanged."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers import examples, points
from lossguard.buffer import Row
from lossguard.encoder import VALUES_MAX, Encoder
from lossguard.protocol.codec import decode_to_server, encode
from lossguard.protocol.frames import MAX_STEP, pack_frame, unpack_frame
from lossguard.protocol.messages import Frame


def through_the_wire(bits: "np.typing.NDArray[np.uint64]") -> bytes:
    """`bits` [width, n], packed, encoded, decoded and unpacked."""
    width, n = bits.shape
    frame = pack_frame(1, np.arange(n), list(range(width)), bits.view(np.float64))
    received = decode_to_server(encode(frame))
    assert isinstance(received, Frame)
    return unpack_frame(received)[1].tobytes()


def test_every_sign_exponent_and_top_of_a_mantissa() -> None:
    # the upper 16 bits: sign, exponent and 4 bits of mantissa, so all zeros, denormals, infinities, quiet and
    # signalling NaNs; below them nothing, everything, and a pattern that shows a swapped byte
    upper = np.arange(1 << 16, dtype=np.uint64) << np.uint64(48)
    for lower in (0, (1 << 48) - 1, 0x0123_4567_89AB):
        bits = (upper | np.uint64(lower)).reshape(16, -1)
        assert through_the_wire(bits) == bits.tobytes()


@examples(150)
@given(hnp.arrays(np.uint64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_random_patterns(bits: "np.typing.NDArray[np.uint64]") -> None:
    assert through_the_wire(bits) == bits.tobytes()


@examples(80)
@given(hnp.arrays(np.uint64, st.integers(1, 30)), st.integers(0, MAX_STEP))
def test_a_row_keeps_its_bits_from_the_queue_to_the_frame(bits: "np.typing.NDArray[np.uint64]", step: int) -> None:
    names = tuple(f"s{i}" for i in range(len(bits)))
    *_, frame = Encoder().encode([Row(step, names, bits.view(np.float64), 0.0)])
    assert isinstance(frame, Frame)
    steps, columns = unpack_frame(frame)
    assert (steps.tolist(), columns.tobytes()) == ([step], bits.tobytes())


@examples(60)
@given(
    st.lists(st.tuples(st.integers(-3, MAX_STEP + 3), st.sampled_from([("a",), ("a", "b"), ("c",), ()])), max_size=30)
)
def test_whatever_is_recorded_the_frames_are_well_formed(rows: list[tuple[int, tuple[str, ...]]]) -> None:
    messages = Encoder().encode(Row(step, names, [0.5] * len(names), 0.0) for step, names in rows)
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
    assert all(m.n * len(m.series) <= VALUES_MAX for m in messages if isinstance(m, Frame))
    recorded = [(step, names) for step, names in rows if 0 <= step <= MAX_STEP]
    for name, column in points(messages).items():  # each series in the order in which it was recorded
        assert [step for step, _ in column] == [step for step, names in recorded if name in names]
    assert set(points(messages)) == {name for _, names in recorded for name in names}
