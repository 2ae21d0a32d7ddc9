"""Gradient norms where new weights make the total jump: they may jump as far, and what comes then is still heard."""

import numpy as np
import pytest

from lossguard_server.rules import default_rules
from lossguard_server.rules.alert import AlertChange
from unit.rules.rule_world import declared, judged, noisy, summed

N, SWITCH = 600, 400
Trace = dict[str, np.ndarray]


def staged(jump: float, norm: np.ndarray) -> Trace:
    """A second loss comes in at SWITCH, seen in shadow before, and makes the total `jump` times as large."""
    losses = {"first": noisy(2.0, N, 0.05, 1), "second": noisy(2.0 * (jump - 1), N, 0.05, 2)}
    weights = {"first": 1.0, "second": np.where(np.arange(N) < SWITCH, 0.0, 1.0)}
    return summed(weights, losses) | {"grad_norm/total": norm}


def gradient_pages(trace: Trace) -> list[AlertChange]:
    changes = judged(trace, declared(first=1.0, second=0.0), *default_rules())
    return [each for each in changes if each.alert.rule.startswith("grad_") and each.alert.severity == "critical"]


def norms(jump: float) -> np.ndarray:
    return noisy(1.0, N, 0.3, 4) * np.where(np.arange(N) < SWITCH, 1.0, jump)


@pytest.mark.parametrize("jump", [3.0, 12.0, 40.0])
def test_norms_that_jump_as_far_as_the_total_are_silent(jump: float) -> None:
    assert gradient_pages(staged(jump, norms(jump))) == []


def test_the_same_jump_of_the_norms_without_one_of_the_total_is_not() -> None:
    assert gradient_pages(staged(1.1, norms(40.0))) != []


def test_an_explosion_in_the_samples_after_the_stage_pages() -> None:
    norm = norms(5.0)
    norm[SWITCH + 3 :] *= 1.8 ** np.arange(N - SWITCH - 3).clip(0, 20)
    assert min(each.alert.last_step for each in gradient_pages(staged(5.0, norm))) <= SWITCH + 12


def test_weights_that_drift_at_every_row_excuse_no_norm() -> None:
    """Weights that are learned: one of them grows by 2 % a row."""
    norm = norms(1.0)
    norm[SWITCH:] *= 30.0
    losses = {"first": noisy(2.0, N, 0.05, 1), "second": noisy(2.0, N, 0.05, 2)}
    trace = summed({"first": 1.0, "second": 0.01 * 1.02 ** np.arange(N).clip(300, 500)}, losses)
    fired = gradient_pages(trace | {"grad_norm/total": norm})
    assert SWITCH <= min(each.alert.last_step for each in fired) <= SWITCH + 5
