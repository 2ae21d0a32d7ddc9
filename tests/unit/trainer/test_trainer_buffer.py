"""The queue between the training thread and the link thread."""

import threading

from lossguard.buffer import Note, Row, SampleBuffer


def row(step: int, width: int = 2) -> Row:
    return Row(step, tuple(f"s{i}" for i in range(width)), [0.0] * width, time_s=float(step))


def test_what_goes_in_comes_out_in_order_once() -> None:
    buffer = SampleBuffer()
    items: list[Row | Note] = [row(0), Note("stage", 1, 0.0), row(1)]
    buffer.add_row(items[0])  # type: ignore[arg-type]
    buffer.add_note(items[1])  # type: ignore[arg-type]
    buffer.add_row(items[2])  # type: ignore[arg-type]
    assert len(buffer) == 3
    assert buffer.drain() == items
    assert (buffer.drain(), len(buffer), buffer.points_dropped) == ([], 0, 0)


def test_beyond_the_bound_rows_are_dropped_and_the_gap_is_told() -> None:
    buffer = SampleBuffer(rows_max=3)
    for step in range(10):
        buffer.add_row(row(step))
    assert [item.step for item in buffer.drain()] == [0, 1, 2]
    assert buffer.points_dropped == 14
    buffer.add_row(row(10))
    gap, after = buffer.drain()
    assert gap == Note("gap", 9, 10.0, {"from": 3, "to": 9, "reason": "the trainer's queue was full"})
    assert after.step == 10
    buffer.add_row(row(11))
    assert [item.step for item in buffer.drain()] == [11]


def test_a_gap_at_the_end_is_told_too() -> None:
    buffer = SampleBuffer(rows_max=3)
    for step in range(10):
        buffer.add_row(row(step))
    assert buffer.untold_gap(7.0) == Note("gap", 9, 7.0, {"from": 3, "to": 9, "reason": "the trainer's queue was full"})
    assert buffer.untold_gap(7.0) is None


def test_an_event_is_never_dropped() -> None:
    buffer = SampleBuffer(rows_max=1)
    buffer.add_row(row(0))
    for step in range(100):
        buffer.add_note(Note("stage", step, 0.0))
    buffer.add_row(row(1))
    assert len(buffer.drain()) == 101


def test_two_threads_lose_nothing() -> None:
    buffer = SampleBuffer()
    taken: list[Row | Note] = []
    done = threading.Event()

    def take() -> None:
        while not done.is_set():
            taken.extend(buffer.drain())

    reader = threading.Thread(target=take)
    reader.start()
    for step in range(20_000):
        buffer.add_row(row(step))
    done.set()
    reader.join()
    taken += buffer.drain()
    assert [item.step for item in taken] == list(range(20_000))
