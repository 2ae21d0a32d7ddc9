"""The last steps in full detail, sent with a trip and only once."""

import torch

from lossguard.freeze_frame import FreezeFrame

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
