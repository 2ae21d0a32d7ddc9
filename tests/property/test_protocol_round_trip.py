"""Every message comes back from its bytes as it was."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import examples
from lossguard.protocol.codec import decode_sequenced, decode_to_server, decode_to_trainer, encode
from lossguard.protocol.messages import (
    Ack,
    Command,
    ContractSpec,
    ControlsSpec,
    Declaration,
    Event,
    Frame,
    Heartbeat,
    Hello,
    Hold,
    Nack,
    RampSpec,
    Refusal,
    Schema,
    Sequenced,
    SeriesSpec,
    StageSpec,
    ToServer,
    ToTrainer,
    Welcome,
)

integers = st.integers(-(1 << 63), (1 << 64) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
floats = st.floats(width=64)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | integers | floats | texts | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
data = st.dictionaries(texts, anything, max_size=4)
ramps = st.builds(RampSpec, start=floats, end=floats, steps=integers)
stages = st.builds(StageSpec, name=texts, start=integers, weights=st.dictionaries(texts, floats | ramps, max_size=3))
controls = st.builds(
    ControlsSpec,
    kinds=st.lists(texts, max_size=3),
    weight_bounds=st.dictionaries(texts, st.tuples(floats, floats), max_size=3),
)
contracts = st.builds(ContractSpec, series=texts, low=st.none() | floats, high=st.none() | floats)
sequenced: dict[str, st.SearchStrategy[Sequenced]] = {
    "declaration": st.builds(
        Declaration, seq=integers, components=st.lists(texts, max_size=3), stages=st.lists(stages, max_size=2),
        groups=st.lists(texts, max_size=3), controls=controls, contracts=st.lists(contracts, max_size=2),
        config=data, device=texts,
    ),
    "schema": st.builds(
        Schema, seq=integers, series=st.lists(st.builds(SeriesSpec, id=integers, name=texts), max_size=4)
    ),
    "frame": st.builds(
        Frame, seq=integers, first_step=integers, n=integers, series=st.lists(integers, max_size=4),
        values=st.binary(max_size=40), crc=integers, steps=st.binary(max_size=16), time_s=floats,
    ),
    "event": st.builds(Event, seq=integers, kind=texts, step=integers, time_s=floats, data=data),
}  # fmt: skip
to_server: dict[str, st.SearchStrategy[ToServer]] = {
    "hello": st.builds(
        Hello, run=texts, project=texts, name=texts, protocol=texts, sdk=texts, rank=integers, world_size=integers,
        attempt=integers, started_at=floats,
    ),
    "heartbeat": st.builds(
        Heartbeat, state=texts, step=integers, boundary_age_s=floats, points_queued=integers, points_dropped=integers
    ),
    **sequenced,
}  # fmt: skip
to_trainer: dict[str, st.SearchStrategy[ToTrainer]] = {
    "welcome": st.builds(Welcome, last_seq=integers, protocol=texts, server=texts),
    "ack": st.builds(Ack, seq=integers),
    "nack": st.builds(Nack, expected=integers, reason=texts),
    "refusal": st.builds(Refusal, error=texts, message=texts, hint=texts, retry=st.booleans(), seq=integers),
    "hold": st.builds(Hold, error=texts, message=texts, hint=texts),
    "command": st.builds(Command, id=texts, number=integers, kind=texts, args=data),
}


def same(a: object, b: object) -> bool:
    """Equal to the last bit: NaN is NaN, 0.0 is not -0.0, 1 is not 1.0."""
    if isinstance(a, msgspec.Struct) and type(a) is type(b):
        return same(msgspec.structs.asdict(a), msgspec.structs.asdict(b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return (a.hex() == b.hex() and math.copysign(1, a) == math.copysign(1, b)) or (math.isnan(a) and math.isnan(b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("tag", to_server)
def test_what_a_trainer_sends_comes_back(tag: str) -> None:
    @examples(60)
    @given(to_server[tag])
    def check(message: ToServer) -> None:
        assert type(message).__struct_config__.tag == tag
        assert same(decode_to_server(encode(message)), message)
        if tag in sequenced:
            assert same(decode_sequenced(encode(message)), message)

    check()


@pytest.mark.parametrize("tag", to_trainer)
def test_what_a_server_sends_comes_back(tag: str) -> None:
    @examples(60)
    @given(to_trainer[tag])
    def check(message: ToTrainer) -> None:
        assert type(message).__struct_config__.tag == tag
        assert same(decode_to_trainer(encode(message)), message)

    check()


def test_no_message_is_left_out() -> None:
    assert set(to_server) | set(to_trainer) == {
        kind.__struct_config__.tag for union in (ToServer, ToTrainer) for kind in union.__args__
    }
