"""R20: updates too large or too small for their weights, and a learning rate that leaps."""

import numpy as np
import numpy.typing as npt
import pytest

from lossguard_server.rules import update_ratio
from lossguard_server.rules.alert import AlertChange
from unit.rules.rule_world import UNDECLARED, Trace, noisy
from unit.rules.stage_world import fired, same_for_every_cut, told

RULE = update_ratio.rule()
N = 600
STEP = np.arange(N)
SERIES = "update_ratio/head"


def run_of(ratio: npt.ArrayLike, lr: npt.ArrayLike = 1e-3) -> Trace:
    own = noisy(np.broadcast_to(np.asarray(ratio, np.float64), N), N, 0.2)
    return {"loss/total": np.full(N, 2.0), "lr": np.broadcast_to(np.asarray(lr, np.float64), N), SERIES: own}


def changes_of(trace: Trace) -> list[AlertChange]:
    return told(trace, UNDECLARED, RULE)


@pytest.mark.parametrize(("ratio", "word"), [(0.5, "too large"), (1e-7, "too small")])
def test_updates_out_of_proportion_are_shown(ratio: float, word: str) -> None:
    (change,) = changes_of(run_of(np.where(STEP < 300, 1e-3, ratio)))
    assert (change.alert.series, change.alert.severity, change.alert.last_step) == (SERIES, "warning", 319)
    assert word in change.alert.message


def test_a_learning_rate_that_leaps_is_shown() -> None:
    changes = changes_of(run_of(1e-3, np.where(STEP < 300, 1e-4, 1e-2)))
    assert fired(changes) == [("fired", "lr", "warning"), ("resolved", "lr", "warning")]
    assert "leapt to 0.01 at step 300, 100 times the highest before (0.0001)" in changes[0].alert.message


def test_however_the_rows_are_cut_it_says_the_same() -> None:
    trace = run_of(np.where(STEP < 300, 1e-3, 0.5), np.where(STEP < 300, 1e-4, 1e-2))
    assert same_for_every_cut(trace, UNDECLARED, RULE)


# -- quiet ------------------------------------------------------------------------------------------------------------


def test_usual_updates_are_quiet() -> None:
    assert changes_of(run_of(1e-3)) == []


def test_the_first_updates_may_be_large() -> None:
    assert changes_of(run_of(np.where(STEP < 80, 3.0, 1e-3))) == []


@pytest.mark.parametrize("kind", ["warm-up", "decay", "no lr"])
def test_small_updates_of_a_small_learning_rate_are_quiet(kind: str) -> None:
    part = (STEP + 1) / N if kind == "warm-up" else (1 + np.cos(np.pi * STEP / N)) / 2
    trace = run_of(2e-5 * part if kind != "no lr" else 1e-6, 1e-3 * part)
    if kind == "no lr":
        del trace["lr"]
    assert changes_of(trace) == []


def test_warm_up_warm_restarts_and_drops_are_no_leap() -> None:
    warm_up = np.minimum(1.0, (STEP + 1) / 100)
    restarts = 1e-6 + 1e-3 * (1 + np.cos(np.pi * (STEP % 150) / 150)) / 2
    drops = 0.01 ** (STEP // 200)
    for lr in (warm_up, restarts * warm_up, drops):
        assert changes_of(run_of(1e-3, lr)) == []


def test_a_rate_that_begins_at_zero_does_not_leap() -> None:
    lr = np.where(STEP < 50, 0.0, 1e-3)
    assert changes_of(run_of(1e-3, lr)) == []
