"""What goes down the rows: the newest value, and how long something lasts."""

import numpy as np
import pytest

from lossguard_server.rules import columns

T, F = True, False


def test_the_newest_value_is_carried_on_from_before_the_window() -> None:
    fresh = np.array([[F, T], [T, F], [F, F]])
    values = np.array([[9.0, 1.0], [2.0, 9.0], [9.0, 9.0]])
    assert columns.latest(fresh, values, np.array([5.0, 6.0])).tolist() == [[5.0, 1.0], [2.0, 1.0], [2.0, 1.0]]


def test_a_streak_is_broken_by_a_measured_row_only() -> None:
    measured, hit = np.array([[T], [T], [F], [T], [T], [T]]), np.array([[T], [T], [F], [T], [F], [T]])
    assert columns.streaks(measured, hit, np.array([4]))[:, 0].tolist() == [5, 6, 6, 7, 0, 1]


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_it_does_not_matter_where_it_is_cut(cut: int) -> None:
    rng = np.random.default_rng(0)
    measured, values = rng.random((50, 3)) < 0.7, rng.random((50, 3))
    hit = measured & (rng.random((50, 3)) < 0.8)
    streak, newest = np.zeros(3, np.int64), np.full(3, -1.0)
    pieces = []
    for at in range(0, 50, cut):
        rows = slice(at, at + cut)
        streaks = columns.streaks(measured[rows], hit[rows], streak)
        latest = columns.latest(measured[rows], values[rows], newest)
        streak, newest = streaks[-1], latest[-1]
        pieces.append(np.hstack([streaks, latest]))
    whole = [columns.streaks(measured, hit, np.zeros(3, np.int64)), columns.latest(measured, values, np.full(3, -1.0))]
    assert (np.vstack(pieces) == np.hstack(whole)).all()


def test_a_memory_grows_by_zeros() -> None:
    assert columns.grown(np.array([1, 2]), 4).tolist() == [1, 2, 0, 0]
    assert columns.grown(np.array([1, 2]), 1).tolist() == [1, 2]
