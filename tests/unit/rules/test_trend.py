"""trend: what a series that rises steadily is excused, and nothing else is."""

import numpy as np
import pytest

from lossguard_server.rules import drift, trend
from unit.rules.rule_world import judged, noisy, windows

N, RATE = 800, 0.004


def lag_at(values: np.ndarray, row: int, cut: int = 50) -> float:
    """The excuse at a row of a run of which the rows came in pages of `cut`."""
    kept: dict[str, object] = {}
    lags: dict[int, float] = {}
    for window in windows({"loss/total": values}, None, cut=cut):
        number = window.number("loss/total")
        assert number is not None
        habit = trend.habit(window, number, kept)
        lags |= {int(window.steps[at]): habit.lag(at) for at in habit.rows.tolist()}
    return lags[row]


def growing(n: int = N) -> np.ndarray:
    return noisy(np.exp(RATE * np.arange(n)), n, 0.1, 3)


def test_the_lag_of_a_line_is_what_it_rises_in_a_hundred_samples() -> None:
    assert 0.8 * 100 * RATE < lag_at(growing(), 700) < 1.2 * 100 * RATE


def test_a_fall_and_a_habit_of_less_than_a_hundred_samples_excuse_nothing() -> None:
    assert lag_at(1 / growing(), 700) == 0
    assert lag_at(growing(), 128) == 0
    assert lag_at(growing(), 131) > 0


def test_it_is_the_same_to_the_last_bit_however_the_rows_were_cut() -> None:
    assert lag_at(growing(), 555, 1) == lag_at(growing(), 555, 7) == lag_at(growing(), 555, 256)


def test_a_step_up_is_no_habit_for_fifty_samples() -> None:
    values = noisy(1.0, N, 0.1, 5)
    values[600:] *= 3.0
    assert lag_at(values, 640) < 0.2


@pytest.mark.parametrize("seed", [5, 6, 7, 10])
def test_drift_is_silent_on_steady_growth_and_hears_what_comes_on_top_of_it(seed: int) -> None:
    """Noise with a memory, as a critic's: without the excuse each of the four pages."""
    draws, y = np.random.default_rng(seed).normal(0, 0.2, N), np.zeros(N)
    for i in range(1, N):
        y[i] = 0.6 * y[i - 1] + draws[i]
    values = np.exp(RATE * np.arange(N) + y)
    assert criticals(values) == []
    values[600:] *= 6.0
    assert 600 <= criticals(values)[0] <= 620


def criticals(values: np.ndarray) -> list[int]:
    changes = judged({"loss/total": values}, None, drift.rule())
    return [change.alert.last_step for change in changes if change.alert.severity == "critical"]


def wandering(rho: float, n: int = 6000, seed: int = 0) -> np.ndarray:
    """A loss of 2 that comes back to it slowly."""
    rng, y = np.random.default_rng(seed), np.zeros(n)
    for at, shock in enumerate(rng.normal(0, 0.3, n)):
        y[at] = rho * y[at - 1] + shock * np.sqrt(1 - rho * rho)
    return np.asarray(2 * np.exp(y))


@pytest.mark.parametrize(("rho", "low", "high"), [(0.0, 1.0, 1.0), (0.5, 1.0, 1.1), (0.97, 1.5, 7.0)])
def test_how_much_a_loss_wanders(rho: float, low: float, high: float) -> None:
    (*_, window) = windows({"loss/total": wandering(rho, 1000, 2)}, None, cut=250)
    habit = trend.habit(window, 0, {})
    assert low <= np.median(habit.wanders(habit.rows[100:])) <= high


def test_a_loss_that_wanders_by_itself_pages_less_than_half_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    def pages() -> int:
        found = [judged({"loss/total": wandering(0.93, seed=seed)}, None, drift.rule()) for seed in range(4)]
        return sum(change.transition == "escalated" for changes in found for change in changes)

    with_it = pages()
    monkeypatch.setattr(trend.Habit, "wander", lambda self, row: 1.0)
    assert with_it < pages() / 2


def test_what_rises_for_another_reason_pages_although_the_loss_wanders_a_little() -> None:
    values = wandering(0.5, 1000, 1)
    values[600:] *= 6
    assert any(change.alert.severity == "critical" for change in judged({"loss/total": values}, None, drift.rule()))


def test_a_total_that_passes_through_zero_is_no_multiple_of_anything() -> None:
    values = np.random.default_rng(2).normal(0, 1, 800)
    values[500:] += 5
    changes = judged({"loss/total": values}, None, drift.rule())
    assert {change.alert.severity for change in changes} == {"warning"}
