"""The last steps in full detail, sent with a trip and only once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lossguard.freeze_frame import INDICES_MAX, FreezeFrame, Landing

Rows = list[tuple[int, tuple[str, ...], list[float]]]


def frame_of(width: int, steps: int) -> tuple[FreezeFrame, Rows]:
    rows: Rows = []
    names = [f"p{i}" for i in range(width)]
    return FreezeFrame(names, lambda at, series, values: rows.append((at, series, list(values))), steps), rows


def keep(frame: FreezeFrame, step: int, present: tuple[int, ...] = (0, 1)) -> None:
    frame.batch(step, step + 100)
    frame.keep(step, present, torch.tensor([float(step * 10 + i) for i in present]))


def test_only_the_last_steps_are_kept() -> None:
    frame, rows = frame_of(2, 4)
    for step in range(10):
        keep(frame, step)
    data = frame.flush(9, {"cpu": "ab"})
    frame.harvest(wait=True)
    assert data == {"from": 6, "to": 9, "parameters": 2, "batches": [106, 107, 108, 109], "rng": {"cpu": "ab"}}
    assert rows == [
        (step, ("param_grad_norm/p0", "param_grad_norm/p1"), [step * 10.0, step * 10 + 1.0]) for step in range(6, 10)
    ]


def test_what_was_sent_is_not_sent_again() -> None:
    frame, rows = frame_of(2, 4)
    for step in range(3):
        keep(frame, step)
    frame.flush(2, {})
    keep(frame, 3)
    assert frame.flush(3, {}) is not None
    assert frame.flush(3, {}) is None
    frame.harvest(wait=True)
    assert [row[0] for row in rows] == [0, 1, 2, 3]


def test_a_parameter_without_a_gradient_has_no_point() -> None:
    frame, rows = frame_of(3, 4)
    keep(frame, 0, (0, 2))
    keep(frame, 1, (0, 1, 2))
    frame.flush(1, {})
    frame.harvest(wait=True)
    assert rows[0] == (0, ("param_grad_norm/p0", "param_grad_norm/p2"), [0.0, 2.0])
    assert rows[1][2] == [10.0, 11.0, 12.0]


def test_nothing_kept_nothing_sent() -> None:
    frame, _ = frame_of(2, 4)
    assert frame.flush(5, {}) is None
    frame.harvest(wait=True)


def test_steps_that_a_rollback_undid_are_forgotten() -> None:
    frame, rows = frame_of(2, 8)
    for step in range(5):
        keep(frame, step)
    frame.flush(4, {})
    frame.forget_from(2)
    for step in range(2, 4):
        keep(frame, step)
    frame.flush(3, {})
    frame.harvest(wait=True)
    assert [row[0] for row in rows] == [0, 1, 2, 3, 4, 2, 3]


class Mark:
    """A pretended event: passed when it is told so."""

    def __init__(self) -> None:
        self.is_passed = False

    def record(self) -> None:
        """In no stream."""

    def query(self) -> bool:
        return self.is_passed

    def synchronize(self) -> None:
        self.is_passed = True


def test_a_flush_brings_what_was_not_sent_in_the_type_it_is_kept_in_and_lets_it_go() -> None:
    brought: list[Tensor] = []
    marks: list[Mark] = []
    rows: Rows = []

    def bring(pieces: Sequence[Tensor]) -> Landing:
        brought.append(torch.cat(list(pieces)))
        marks.append(Mark())
        return brought[-1], marks[-1]

    names = ["p0", "p1"]
    frame = FreezeFrame(names, lambda at, series, values: rows.append((at, series, list(values))), 4, bring)
    for step in range(3):
        keep(frame, step)
    frame.flush(2, {})
    for step in range(3, 5):  # around the end of the ring
        keep(frame, step)
    frame.flush(4, {})
    assert [(tuple(each.shape), each.dtype) for each in brought] == [((3, 2), torch.float32), ((2, 2), torch.float32)]
    frame.harvest()
    assert rows == []
    marks[0].is_passed = True
    frame.harvest()
    assert [row[0] for row in rows] == [0, 1, 2]
    frame.harvest(wait=True)
    assert [(row[0], row[2]) for row in rows[3:]] == [(3, [30.0, 31.0]), (4, [40.0, 41.0])]
    assert not frame._flights


def test_sets_of_parameters_that_change_at_each_step_leave_no_index_each() -> None:
    frame, _ = frame_of(200, 4)
    for step in range(199):
        keep(frame, step, (step, step + 1))
    assert len(frame._index) <= INDICES_MAX


def test_the_first_batch_of_each_step_is_remembered_whatever_the_number_of_its_micro_batches() -> None:
    frame, _ = frame_of(1, 4)
    for step in range(6):
        for micro in range(8):
            frame.batch(step, step * 8 + micro)
        frame.keep(step, (0,), torch.tensor([1.0]))
    data = frame.flush(5, {})
    assert data is not None
    assert data["batches"] == [16, 24, 32, 40]
