"""The other detectors, written anew for the benchmark: each fires exactly where its original's formula says."""

import numpy as np
import pytest

from detection import peers


def flat(n: int, level: float = 1.0, ripple: float = 0.01) -> np.ndarray:
    return level * (1 + ripple * np.sin(np.arange(n)))


def with_value(values: np.ndarray, at: int, value: float) -> np.ndarray:
    changed = values.copy()
    changed[at] = value
    return changed


@pytest.mark.parametrize(
    ("judge", "least"),
    [
        (peers.lightning, 3.05),  # rose, and |x - mean| >= 2 mean
        (peers.spiky, 1.21),
        (peers.megatron, 10.2),
        (peers.olmo_core, 1.0 + 6.1 * 0.00708),
        (peers.olmo_2, 1.0 + 7.1 * 0.00708),
        (peers.stabilityguard, 11.2),  # ten times an average that has it in already: eleven times
        (peers.zclip, 1.0 + 2.7 * 0.00708),
    ],
)
def test_fires_just_above_its_threshold_and_not_below(judge: peers.Judge, least: float) -> None:
    level, at = flat(1500), 1200
    base = level[at - 1] if judge is peers.spiky else 1.0
    assert judge(with_value(level, at, least * base))[at]
    below = 1.0 + (least - 1.0) * 0.9
    assert not judge(with_value(level, at, below * base))[at]
    assert not judge(level).any()


def test_k2_waits_for_the_third_value_in_a_row() -> None:
    values = flat(600)
    values[500:504] = 1.5
    assert np.flatnonzero(peers.k2_v2(values)).tolist() == [502, 503]
    assert not peers.k2_v2(with_value(flat(600), 500, 1.5)).any()


def test_megatron_knows_only_the_first_hundred_values() -> None:
    values = flat(400)
    values[150:] = 20.0
    assert np.flatnonzero(peers.megatron(values)).tolist() == list(range(150, 400))


def test_loss_not_decreasing_looks_at_every_tenth_value() -> None:
    rising = np.linspace(1, 2, 35)
    assert np.flatnonzero(peers.not_decreasing(rising)).tolist() == [10, 20, 30]
    assert not peers.not_decreasing(rising[::-1].copy()).any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite(value: float) -> None:
    values = with_value(flat(300), 200, value)
    assert peers.not_finite(values)[200]
    assert peers.lightning(values)[200]
    assert peers.stabilityguard(values)[200]
    assert not peers.megatron(values).any()


def test_lightning_leaves_a_spike_out_of_its_mean() -> None:
    values = flat(100)
    values[50:60] = [4, 4.1, 4.2, 4.3, 4.4, 4.5, 4.6, 4.7, 4.8, 4.9]
    assert np.flatnonzero(peers.lightning(values)).tolist() == list(range(50, 60))
