"""Rows and notes become numbered messages."""

import numpy as np

from lossguard.buffer import Note, Row
from lossguard.encoder import NAMES_MAX, VALUES_MAX, Encoder
from lossguard.protocol.codec import encode
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import MAX_MESSAGE_BYTES, Declaration, Event, Frame, Schema, SeriesSpec


def row(step: int, names: tuple[str, ...], *values: float) -> Row:
    return Row(step, names, list(values) or [float(step)] * len(names), time_s=step + 0.5)


def shape(message: object) -> object:
    """What a message is, in short."""
    match message:
        case Schema():
            return [series.name for series in message.series]
        case Frame():
            return (message.first_step, message.n, len(message.series))
        case Event():
            return message.kind
    return type(message)


AB, C = ("a", "b"), ("c",)


def test_rows_of_one_layout_become_one_frame_after_their_schema() -> None:
    schema, frame = Encoder().encode([row(3, AB, 1.0, 2.0), row(4, AB, 3.0, 4.0)])
    assert schema == Schema(seq=1, series=[SeriesSpec(0, "a"), SeriesSpec(1, "b")])
    assert isinstance(frame, Frame)
    assert (frame.seq, frame.series, frame.time_s) == (2, [0, 1], 4.5)
    steps, columns = unpack_frame(frame)
    assert (steps.tolist(), columns.tolist()) == ([3, 4], [[1.0, 3.0], [2.0, 4.0]])


def test_layouts_do_not_mix_and_a_name_is_told_once() -> None:
    encoder = Encoder()
    first = encoder.encode([row(0, AB), row(0, C), row(1, AB), row(1, C)])
    assert [shape(m) for m in first] == [["a", "b"], (0, 2, 2), ["c"], (0, 2, 1)]
    second = encoder.encode([row(2, ("b", "d"))])
    assert [shape(m) for m in second] == [["d"], (2, 1, 2)]
    assert [m.seq for m in first + second] == [1, 2, 3, 4, 5, 6]
    assert encoder.last_seq == 6


def test_an_event_closes_the_frames_before_it() -> None:
    messages = Encoder().encode([row(0, AB), row(0, C), Note("stage", 1, 9.0, {"index": 1}), row(1, AB)])
    assert [shape(m) for m in messages] == [["a", "b"], (0, 1, 2), ["c"], (0, 1, 1), "stage", (1, 1, 2)]
    assert messages[4] == Event(seq=5, kind="stage", step=1, time_s=9.0, data={"index": 1})


def test_a_series_keeps_its_order_whatever_stands_beside_it() -> None:
    rows = [row(step, ("a", "b", "c") if step % 3 == 0 else ("a", "b")) for step in range(7)]
    messages = Encoder().encode([rows[0], row(0, ("log",)), *rows[1:], row(6, ("log",))])
    assert [shape(m) for m in messages] == [
        ["a", "b", "c"], (0, 1, 3), (1, 2, 2), (3, 1, 3), (4, 2, 2), ["log"], (0, 2, 1), (6, 1, 3),
    ]  # fmt: skip


def test_a_step_that_does_not_rise_begins_a_new_frame() -> None:
    messages = Encoder().encode([row(5, C), row(5, C), row(4, C), row(7, C), row(9, C)])
    assert [shape(m) for m in messages] == [["c"], (5, 1, 1), (5, 1, 1), (4, 3, 1)]
    steps, _ = unpack_frame(messages[-1])  # type: ignore[arg-type]
    assert steps.tolist() == [4, 7, 9]


def test_a_frame_holds_no_more_than_its_share_of_a_message() -> None:
    names = tuple(f"s{i}" for i in range(1000))
    frames = [m for m in Encoder().encode(row(step, names) for step in range(100)) if isinstance(m, Frame)]
    assert [frame.n for frame in frames] == [32, 32, 32, 4]
    assert all(frame.n * 1000 <= VALUES_MAX for frame in frames)


def test_a_hundred_thousand_names_in_one_row() -> None:
    names = tuple(f"layer.{i}/" + "x" * 400 for i in range(100_000))
    values = np.arange(100_000, dtype=np.float64)
    messages = Encoder().encode([Row(7, names, values, 0.0), Row(8, names, -values, 0.0)])
    assert [m.seq for m in messages] == list(range(1, len(messages) + 1))
    assert max(len(encode(m)) for m in messages) <= MAX_MESSAGE_BYTES
    assert max(len(m.series) for m in messages if isinstance(m, Schema)) <= NAMES_MAX
    known: dict[int, str] = {}
    found: dict[tuple[str, int], float] = {}
    for message in messages:
        if isinstance(message, Schema):
            known |= {series.id: series.name for series in message.series}
        elif isinstance(message, Frame):
            steps, columns = unpack_frame(message)
            for number, column in zip(message.series, columns.tolist(), strict=True):
                found |= {(known[number], int(step)): value for step, value in zip(steps, column, strict=True)}
    assert len(found) == 200_000
    assert all(found[name, 7] == i and found[name, 8] == -i for i, name in enumerate(names))


def test_a_row_of_nothing_and_a_step_that_is_none_are_left_out() -> None:
    assert Encoder().encode([row(0, ()), row(-1, C), row(1 << 53, C)]) == []


def test_a_declaration_takes_the_next_number() -> None:
    encoder = Encoder()
    declared = encoder.declare(Declaration(seq=0, components=["ce"], device="cpu"))
    assert declared == Declaration(seq=1, components=["ce"], device="cpu")
    assert encoder.encode([Note("finish", 0, 0.0)])[0].seq == 2
