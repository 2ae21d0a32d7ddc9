"""What a trainer sends is held against what it declared before it may be stored."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from lossguard.protocol.codec import encode
from lossguard.protocol.frames import checksum, pack_frame
from lossguard.protocol.messages import (
    ContractSpec,
    ControlsSpec,
    Declaration,
    Event,
    Frame,
    Hello,
    RampSpec,
    Schema,
    Sequenced,
    SeriesSpec,
    StageSpec,
)
from lossguard_server import errors
from lossguard_server.services import stream as stream_module
from lossguard_server.services.stream import Checked, StreamState, check_hello
from lossguard_server.store.journal import StreamKey

HELLO = Hello(run="r1", project="p", name="n")


def nested(levels: int) -> object:
    return [nested(levels - 1)] if levels else 0


@pytest.fixture
def state() -> StreamState:
    made = StreamState(StreamKey("r1", 0, 0), 1)
    check(made, Schema(seq=1, series=[SeriesSpec(0, "loss/ce"), SeriesSpec(1, "weight/ce")]))
    return made


def check(state: StreamState, message: Sequenced) -> Checked:
    return state.check(message, encode(message))


def frame(ids: list[int], values: list[list[float]], steps: list[int]) -> Frame:
    return pack_frame(2, np.array(steps, dtype=np.int64), ids, np.array(values))


def test_a_frame_becomes_a_row_of_the_journal_and_named_columns(state: StreamState) -> None:
    message = frame([1, 0], [[0.5, 0.5], [2.0, math.nan]], [7, 9])
    checked = check(state, message)
    assert (checked.entry.kind, checked.entry.first_step, checked.entry.last_step) == ("frame", 7, 9)
    assert checked.entry.payload == encode(message)
    assert checked.rows is not None
    assert checked.rows.names == ("weight/ce", "loss/ce", "contribution/ce")
    assert checked.rows.columns[2, 0] == 1.0
    assert math.isnan(checked.rows.columns[2, 1])


def test_a_series_that_nobody_named_is_refused(state: StreamState) -> None:
    with pytest.raises(errors.UnknownSeries, match="Series 5 in message 2"):
        check(state, frame([0, 5], [[1.0], [1.0]], [0]))


@pytest.mark.parametrize("field", ["values", "crc", "first_step", "series"])
def test_a_damaged_frame_may_be_sent_again(state: StreamState, field: str) -> None:
    sent = frame([0], [[1.0]], [3])
    damage: dict[str, Any] = {"values": b"\x01" + sent.values[1:], "crc": sent.crc ^ 4, "first_step": 4, "series": [1]}
    with pytest.raises(errors.DamagedFrame) as refused:
        check(state, msgspec.structs.replace(sent, **{field: damage[field]}))
    assert refused.value.retry is True


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": 2}, {"series": [0, 0]}, {"series": [-1]}, {"first_step": -3}])
def test_a_frame_that_was_made_wrong_would_be_wrong_again(state: StreamState, wrong: dict[str, Any]) -> None:
    made = msgspec.structs.replace(frame([0], [[1.0]], [3]), **wrong)
    if min(made.series) >= 0:
        crc = checksum(made.seq, made.first_step, made.n, made.series, made.values, made.steps)
        made = msgspec.structs.replace(made, crc=crc)
    with pytest.raises(errors.StreamError) as refused:
        check(state, made)
    assert refused.value.retry is False


@pytest.mark.parametrize(
    ("series", "refusal"),
    [
        ([SeriesSpec(2, "")], errors.BadName),
        ([SeriesSpec(2, "a\x00b")], errors.BadName),
        ([SeriesSpec(2, "x" * 513)], errors.BadName),
        ([SeriesSpec(2, "a\u202eb")], errors.BadName),
        ([SeriesSpec(0, "other")], errors.SeriesRedefined),
        ([SeriesSpec(2, "loss/ce")], errors.SeriesRedefined),
        ([SeriesSpec(-1, "a")], errors.SeriesRedefined),
        ([SeriesSpec(1 << 32, "a")], errors.SeriesRedefined),
    ],
)
def test_a_name_means_one_thing(state: StreamState, series: list[SeriesSpec], refusal: type) -> None:
    with pytest.raises(refusal):
        check(state, Schema(seq=2, series=series))
    check(state, Schema(seq=2, series=[SeriesSpec(0, "loss/ce"), SeriesSpec(2, "lr")]))


def test_there_are_only_so_many_series(state: StreamState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MAX_SERIES", 3)
    with pytest.raises(errors.TooManySeries):
        check(state, Schema(seq=2, series=[SeriesSpec(2, "a"), SeriesSpec(3, "b")]))


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"components": ["ce", "ce"]}, errors.BadDeclaration),
        ({"components": ["a\nb"]}, errors.BadName),
        ({"groups": [""]}, errors.BadName),
        ({"stages": [StageSpec("a", 5, {}), StageSpec("b", 5, {})]}, errors.BadDeclaration),
        ({"stages": [StageSpec("a", 0, {"ce": math.nan})]}, errors.BadDeclaration),
        ({"stages": [StageSpec("a", 0, {"ce": RampSpec(0.0, math.inf, 5)})]}, errors.BadDeclaration),
        ({"stages": [StageSpec("a", 5, {"ce": RampSpec(0.0, 1.0, 0)})]}, errors.BadDeclaration),
        ({"contracts": [ContractSpec("s", low=math.nan)]}, errors.BadDeclaration),
        ({"config": {"x": nested(33)}}, errors.BadDeclaration),
        ({"controls": ControlsSpec(["pause"], {"ce": (math.nan, 1.0)})}, errors.BadDeclaration),
        ({"config": {"x": b"bytes"}}, errors.BadDeclaration),
        ({"components": [f"c{n}" for n in range(1001)]}, errors.BadDeclaration),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(fields: dict[str, Any], refusal: type) -> None:
    with pytest.raises(refusal):
        check(StreamState(StreamKey("r1", 0, 0), 1), Declaration(seq=1, **fields))


def test_a_declaration_may_hold_nan_in_its_config() -> None:
    made = Declaration(seq=1, config={"lr": math.nan, "x": nested(30)}, contracts=[ContractSpec("s", high=math.inf)])
    assert check(StreamState(StreamKey("r1", 0, 0), 1), made).entry.kind == "declaration"


@pytest.mark.parametrize(
    "event",
    [
        Event(seq=2, kind="party", step=1),
        Event(seq=2, kind="gap", step=2**60),
        Event(seq=2, kind="gap", step=1, data={"x": b""}),
    ],
)
def test_an_event_that_cannot_be_shown_is_refused(state: StreamState, event: Event) -> None:
    with pytest.raises(errors.StreamError):
        check(state, event)


@pytest.mark.parametrize(
    "wrong",
    [{"run": ""}, {"run": "a/b"}, {"run": ".."}, {"name": "\x1b[2J"}, {"project": "x" * 600}, {"rank": 1},
     {"rank": -1}, {"world_size": 0}, {"attempt": -1}, {"attempt": 2**40}],
)  # fmt: skip
def test_a_hello_that_names_no_stream_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.BadHello):
        check_hello(msgspec.structs.replace(HELLO, **wrong))
    assert check_hello(HELLO) == StreamKey("r1", 0, 0)
