"""When a snapshot is due: the measured stall stays within its share of the training time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import examples
from lossguard.snapshots.cadence import Cadence, readable
from lossguard.snapshots.options import Snapshots


def due_steps(cadence: Cadence, until: int, step_time_s: float, stall_s: float) -> list[int]:
    found = []
    for step in range(until):
        cadence.note_step(step_time_s)
        if cadence.is_due(step):
            found.append(step)
            cadence.took(step, stall_s)
    return found


def test_a_fixed_interval() -> None:
    assert due_steps(Cadence(Snapshots(every=30, healthy_after=5)), 100, 0.1, 9.0) == [0, 30, 60, 90]


def test_a_cheap_snapshot_is_taken_as_often_as_one_may_be() -> None:
    assert due_steps(Cadence(Snapshots(healthy_after=40)), 130, 0.1, 1e-6) == [0, 40, 80, 120]


def test_a_dear_one_so_rarely_that_its_share_is_kept() -> None:
    # 0.1 s of stall in 0.01 s steps: 0.5 % asks for 2,000 steps
    assert due_steps(Cadence(Snapshots()), 4500, 0.01, 0.1) == [0, 2000, 4000]


def test_it_is_measured_again_at_each_take() -> None:
    cadence = Cadence(Snapshots())
    cadence.note_step(0.01)
    cadence.took(0, 10.0)
    assert cadence.interval_steps() == 200_000
    cadence.took(10, 0.006)
    assert cadence.interval_steps() == 120


def test_steps_that_became_faster_put_it_off() -> None:
    cadence = Cadence(Snapshots(healthy_after=10))
    cadence.note_step(1.0)
    cadence.took(0, 0.1)
    assert cadence.interval_steps() == 20
    for _ in range(200):
        cadence.note_step(0.1)
    assert [step for step in (19, 20, 199, 200) if cadence.is_due(step)] == [200]


def test_one_long_step_or_no_time_at_all_does_not_matter() -> None:
    cadence = Cadence(Snapshots(healthy_after=10))
    for step_time_s in (0.0, math.nan, math.inf, -1.0, 0.1, 0.1, 900.0):
        cadence.note_step(step_time_s)
    cadence.took(0, 0.1)
    assert cadence.interval_steps() == 200


@pytest.mark.parametrize("step_time_s", [0.0, math.nan, math.inf, -1.0])
def test_what_is_no_time_is_passed_over(step_time_s: float) -> None:
    cadence = Cadence(Snapshots(healthy_after=10))
    cadence.note_step(step_time_s)
    cadence.took(0, 5.0)
    assert cadence.interval_steps() == 10


def test_before_any_step_time_it_is_the_least_interval() -> None:
    cadence = Cadence(Snapshots(healthy_after=10))
    cadence.took(7, 5.0)
    assert (cadence.is_due(16), cadence.is_due(17)) == (False, True)


def test_after_a_rollback_it_counts_from_there() -> None:
    cadence = Cadence(Snapshots(every=10))
    cadence.took(100, 0.1)
    cadence.start_from(60)
    assert (cadence.is_due(60), cadence.is_due(69), cadence.is_due(70)) == (False, False, True)


@pytest.mark.parametrize(
    ("steps", "shown"),
    [(0.0, 1), (0.2, 1), (7, 7), (7.01, 8), (11, 12), (50, 50), (101, 120), (1000, 1000), (8001, 10000)],
)
def test_readable_numbers(steps: float, shown: int) -> None:
    assert readable(steps) == shown


@examples(200)
@given(st.floats(0, 1e300))
def test_a_readable_number_is_never_below_and_at_most_a_third_above(steps: float) -> None:
    capped = min(steps, 1e12)
    assert capped <= readable(steps) <= max(capped * 4 / 3 + 1, 10)


@examples(200)
@given(st.floats(1e-6, 1e3), st.floats(1e-4, 1e3), st.floats(1e-4, 1.0), st.integers(1, 500))
def test_the_share_is_kept(stall_s: float, step_time_s: float, share: float, healthy_after: int) -> None:
    cadence = Cadence(Snapshots(stall_share=share, healthy_after=healthy_after))
    cadence.note_step(step_time_s)
    cadence.took(0, stall_s)
    interval = cadence.interval_steps()
    assert interval >= healthy_after
    assert stall_s <= share * interval * step_time_s * (1 + 1e-9)
