"""Which steps a command is judged by: as many as its noise needs, not across what else was changed."""

import numpy as np
import pytest

from lossguard_server.services.effects.robust import Samples, samples_needed
from lossguard_server.services.effects.stretch import Mark, Stretch, length, stretch


def noisy(spread: float, n: int = 500, cadence: int = 1) -> Samples:
    values = np.exp(spread * np.random.default_rng(0).standard_normal(n))
    return Samples(np.arange(n) * cadence, values)


@pytest.mark.parametrize(
    ("series", "expected"),
    [([noisy(0.01)], 50), ([noisy(0.2)], 113), ([noisy(0.2), noisy(0.3)], 254), ([noisy(3.0)], 500), ([], 50)],
)
def test_the_noisier_the_longer_and_at_most_500(series: list[Samples], expected: int) -> None:
    assert length(series) == pytest.approx(expected, rel=0.25 if expected not in (50, 500) else 0)


def test_of_a_run_that_logs_every_tenth_step_a_sample_takes_ten() -> None:
    assert length([noisy(0.01, cadence=10)]) == 80, "8 samples"
    assert length([noisy(3.0, cadence=10)]) == 5000, "500 samples"


def test_what_wanders_needs_more_than_what_is_thrown_anew_each_time() -> None:
    wandering, at = [], 0.0
    for each in np.random.default_rng(0).standard_normal(500).tolist():
        at = 0.7 * at + each * np.sqrt(1 - 0.49)
        wandering.append(np.exp(0.1 * at))
    assert samples_needed(Samples(np.arange(500), np.array(wandering))) > 3 * samples_needed(noisy(0.1))


def test_too_few_samples_ask_for_nothing_and_a_constant_for_none() -> None:
    assert samples_needed(Samples(np.arange(3), np.ones(3))) == 0
    assert samples_needed(Samples(np.arange(50), np.ones(50))) == 0
    assert samples_needed(Samples(np.arange(50), np.full(50, np.nan))) == 0


@pytest.mark.parametrize(
    ("args", "after_first", "behind"),
    [
        ({}, 1000, 1050),
        ({"ramp_steps": 100}, 1100, 1150),
        ({"ramp_steps": 100_000}, 1500, 1550),
        ({"lease_steps": 20}, 1000, 1020),
        ({"lease_steps": 5000}, 1000, 1050),
        ({"ramp_steps": 100, "lease_steps": 120}, 1070, 1120),
        ({"ramp_steps": 100, "lease_steps": 30}, 1000, 1030),
    ],
)
def test_a_ramp_is_waited_for_and_a_lease_is_not_outlived(args: dict[str, int], after_first: int, behind: int) -> None:
    assert stretch(1000, args, 50, []) == Stretch(1000, 950, after_first, behind)


def test_what_else_was_changed_ends_both_sides() -> None:
    marks = [Mark(900, "a"), Mark(980, "b"), Mark(1000, "c"), Mark(1030, "d"), Mark(1040, "e"), Mark(1200, "f")]
    found = stretch(1000, {}, 50, marks)
    assert found == Stretch(1000, 980, 1000, 1030, Mark(1030, "d"))
    assert found.steps == 30


def test_a_command_at_the_beginning_has_nothing_before_it() -> None:
    assert stretch(10, {}, 50, []).before_first == 0
