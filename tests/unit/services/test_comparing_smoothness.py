"""How smooth a curve is: leaps are counted one by one, noise is measured, planned changes are neither."""

import numpy as np
import pytest

from lossguard_server.services.comparing.smoothness import Smoothness, smoothness

STEPS = 2_000


def noisy(noise: float = 0.05, seed: int = 1) -> np.ndarray:
    return np.asarray(2 * np.exp(noise * np.random.default_rng(seed).standard_normal(STEPS)))


def of(values: np.ndarray, **given: object) -> Smoothness:
    found = smoothness([(np.arange(len(values)), values)], **given)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_noise_alone_leaps_nowhere_and_its_size_is_told() -> None:
    found = of(noisy(0.05))
    assert (found.spikes, found.first_spike, found.increments) == (0, None, STEPS - 1)
    assert found.roughness == pytest.approx(0.05 * np.sqrt(2) / 1.4826, rel=0.05)


def test_each_spike_counts_once() -> None:
    values = noisy()
    values[[100, 700, 701, 1500]] *= 5
    found = of(values)
    assert (found.spikes, found.first_spike) == (3, 100), "two steps of one spike leap once"
    assert found.score == pytest.approx(3 / (STEPS - 1))


def test_eight_sigma_is_a_spike_and_three_is_none() -> None:
    sigma = 0.05 * np.sqrt(2)
    for leap, spikes in ((8, 1), (3, 0)):
        values = noisy()
        values[900:] *= np.exp(leap * sigma) * values[899] / values[900]  # so that the increment is just that
        assert of(values).spikes == spikes


def test_noise_that_becomes_less_makes_no_spikes_of_what_was_before() -> None:
    values = np.concatenate([noisy(0.3), noisy(0.01)])
    assert of(values).spikes <= 1


def test_a_planned_change_is_no_spike() -> None:
    values = noisy()
    values[1000:] *= 4
    assert of(values).spikes == 1
    assert of(values, planned={1000}).spikes == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_increment(bad: float) -> None:
    values = noisy()
    values[500:510] = bad
    found = of(values)
    assert (found.spikes, found.increments) == (0, STEPS - 1 - 11)


def test_a_curve_that_stands_still_leaps_when_it_moves() -> None:
    values = np.full(STEPS, 3.0)
    values[800:] = 3.1
    found = of(values)
    assert (found.spikes, found.roughness) == (1, 0.0)


def test_a_gap_of_the_log_is_no_increment() -> None:
    steps = np.concatenate([np.arange(500), np.arange(5_000, 5_500)])
    values = np.concatenate([noisy()[:500], 9 * noisy()[:500]])
    found = smoothness([(steps, values)])
    assert found is not None
    assert (found.spikes, found.increments) == (0, 998)


def test_windows_are_on_one_scale_and_too_few_points_say_nothing() -> None:
    windows = [(np.arange(1024), noisy()[:1024]), (np.arange(9_000, 10_024), 5 * noisy(seed=2)[:1024])]
    found = smoothness(windows)
    assert found is not None
    assert (found.spikes, found.increments) == (0, 2 * 1023)
    assert smoothness([(np.arange(10), noisy()[:10])]) is None
    assert smoothness([]) is None
