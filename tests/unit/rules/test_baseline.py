"""Levels, spreads and tails."""

import numpy as np
import pytest

from lossguard_server.rules.baseline import HISTORY, WARM_UP_SAMPLES, Baselines
from unit.rules.rule_world import noisy


def fed(values: np.ndarray, steps: np.ndarray | None = None, base: Baselines | None = None) -> Baselines:
    base = base or Baselines()
    number = 0 if base.count else base.add(0.01)
    ids = np.array([number], dtype=np.intp)
    with np.errstate(all="ignore"):
        for step, value in zip(range(len(values)) if steps is None else steps.tolist(), values, strict=True):
            base.see(step, ids, np.array([value]))
            base.learn(step)
    return base


def test_level_and_spread_are_found_in_log_space() -> None:
    base = fed(noisy(5.0, 3000, 0.1))
    assert np.exp(base.level[0]) == pytest.approx(5.0, rel=0.03)
    assert base.spread[0] == pytest.approx(0.1, rel=0.15)


def test_nothing_is_judged_in_the_warm_up() -> None:
    base = Baselines()
    base.add(0.01)
    judged = []
    for step, value in enumerate(noisy(5.0, 40)):
        base.see(step, np.array([0], dtype=np.intp), np.array([value]))
        judged.append(bool(base.judged[0]))
        base.learn(step)
    assert judged == [False] * WARM_UP_SAMPLES + [True] * 10


@pytest.mark.parametrize("spike", [10.0, 1e10, 1e300])
def test_a_spike_of_any_height_moves_the_level_as_little(spike: float) -> None:
    values = noisy(5.0, 500, 0.05)
    values[400] = spike
    assert fed(values).level[0] == pytest.approx(fed(noisy(5.0, 500, 0.05)).level[0], abs=0.01)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_learned(bad: float) -> None:
    values = noisy(5.0, 200, 0.05)
    clean = fed(values)
    broken = fed(np.append(values, [bad] * 50))
    assert (broken.level[0], broken.spread[0], broken.fast[0]) == (clean.level[0], clean.spread[0], clean.fast[0])
    assert not broken.judged[0]


def test_a_warm_up_that_begins_with_nan_waits_for_numbers() -> None:
    values = np.concatenate([np.full(100, np.nan), noisy(5.0, WARM_UP_SAMPLES)])
    base = fed(values)
    assert base.quiet[0] == 0
    assert np.exp(base.level[0]) == pytest.approx(5.0, rel=0.05)


def test_numbers_scattered_among_nan_do_not_break_the_warm_up() -> None:
    values = np.full(3000, np.nan)
    values[::100] = 5.0
    base = fed(values)
    assert np.exp(base.level[0]) == pytest.approx(5.0)


def test_the_history_holds_the_last_64_values_as_they_were() -> None:
    values = np.arange(100.0)
    values[90] = np.nan
    values[91] = -0.0
    recent = fed(values).recent(0)
    assert [step for step, _ in recent] == list(range(100 - HISTORY, 100))
    assert np.isnan(recent[90 - 36][1])
    assert np.signbit(recent[91 - 36][1])


def test_a_heavy_tail_raises_the_threshold() -> None:
    light = fed(noisy(5.0, 3000, 0.1)).threshold(0, 1e-3, 4.0)
    heavy_noise = 0.1 * np.random.default_rng(0).standard_t(2, 3000)
    assert fed(5.0 * np.exp(heavy_noise)).threshold(0, 1e-3, 4.0) > 1.3 * light


def test_a_slower_cadence_is_re_learned_in_ten_samples() -> None:
    steps = np.concatenate([np.arange(100), 100 + 100 * np.arange(1, 6)])
    base = fed(noisy(5.0, 105), steps)
    assert base.quiet[0] == 5


def test_a_step_back_is_no_change_of_cadence() -> None:
    steps = np.concatenate([np.arange(1000, 1100), np.arange(500, 600)])
    assert fed(noisy(5.0, 200), steps).quiet[0] == 0


def test_a_series_that_turns_negative_is_measured_in_its_own_unit() -> None:
    base = fed(np.random.default_rng(0).normal(0.0, 50.0, 400))
    assert base.signed[0]
    assert 20.0 < base.unit[0] < 50.0
    assert abs(base.natural(base.level)[0]) < 25.0


def test_each_series_has_its_own_columns_and_more_can_come() -> None:
    base = Baselines()
    ids = np.array([base.add(0.01) for _ in range(20)], dtype=np.intp)
    for step in range(100):
        base.see(step, ids, np.arange(1.0, 21.0))
        base.learn(step)
    late = base.add(0.05)
    assert np.exp(base.level[:20]) == pytest.approx(np.arange(1.0, 21.0))
    assert (base.quiet[late], base.seen[late], base.count) == (WARM_UP_SAMPLES, 0, 21)
