"""R10: a component's gradient dominates, vanishes or opposes, at the probes that come every tenth step."""

import numpy as np
import numpy.typing as npt
import pytest

from lossguard_server.rules import component_gradients
from lossguard_server.rules.alert import AlertChange
from unit.rules.rule_world import Trace, declared, noisy, summed
from unit.rules.stage_world import at_every, fired, same_for_every_cut, told

RULE = component_gradients.rule()
N = 600


def probed(pull: npt.ArrayLike, cosine: npt.ArrayLike = 0.1, aux: npt.ArrayLike = 0.5, **more: np.ndarray) -> Trace:
    """A leading ce and an auxiliary component (weight 0.1) that makes the part `pull` of the gradient."""
    trace = summed({"ce": 1.0, "aux": 0.1}, {"ce": noisy(2.2, N), "aux": noisy(aux, N, seed=1)}, **more)
    shares = np.broadcast_to(np.asarray(pull, np.float64), N)
    probes = {"grad_share/ce": 1 - shares, "grad_share/aux": shares, "grad_cos/ce|aux": np.asarray(cosine)}
    return {**{name: at_every(N, 10, values) for name, values in probes.items()}, **trace}


def changes_of(trace: Trace) -> list[AlertChange]:
    return told(trace, declared(ce=1.0, aux=0.1), RULE)


def from_step(step: int, before: float, then: float) -> np.ndarray:
    return np.where(np.arange(N) < step, before, then)


def test_an_auxiliary_component_that_pulls_alone_is_shown() -> None:
    (change,) = changes_of(probed(from_step(300, 0.1, 0.97)))
    alert = change.alert
    assert (alert.series, alert.severity, alert.component) == ("grad_share/aux", "warning", "aux")
    assert (alert.step, alert.last_step) == (300, 320)
    assert alert.remedy is not None
    assert alert.remedy["args"]["component"] == "aux"
    assert "97 % of the gradient" in alert.message


def test_while_the_gradient_norm_grows_it_is_what_drives_the_growth() -> None:
    norm = noisy(0.5, N, 0.1, 5) * np.exp(np.maximum(np.arange(N) - 300, 0) / 30.0)
    changes = changes_of(probed(from_step(300, 0.1, 0.97), **{"grad_norm/total": norm}))
    assert fired(changes) == [("fired", "grad_share/aux", "warning"), ("escalated", "grad_share/aux", "critical")]
    assert "it drives the growth" in changes[1].alert.message


def test_a_component_that_is_paid_for_and_not_learned_is_shown() -> None:
    (change,) = changes_of(probed(from_step(300, 0.1, 1e-4), aux=5.0))
    assert (change.alert.series, change.alert.severity) == ("grad_share/aux", "warning")
    assert "is paid for and not learned" in change.alert.message


def test_a_gradient_of_exactly_zero_counts_after_it_was_not() -> None:
    assert fired(changes_of(probed(from_step(300, 0.1, 0.0), aux=5.0))) == [("fired", "grad_share/aux", "warning")]
    assert changes_of(probed(0.0, aux=5.0)) == []


def test_a_component_that_pulls_against_the_sum_is_shown() -> None:
    (change,) = changes_of(probed(0.3, cosine=from_step(300, 0.2, -0.9)))
    assert (change.alert.series, change.alert.component) == ("grad_cos/ce|aux", "aux")
    assert change.alert.last_step == 370  # 8 of 10 probes
    assert change.alert.evidence["cosine"] == pytest.approx((0.3 - 0.7 * 0.9) / np.sqrt(0.58 - 0.42 * 0.9), abs=0.01)


@pytest.mark.parametrize(("then", "cosine"), [(0.97, 0.1), (1e-4, 0.1), (0.3, -0.9)])
def test_however_the_rows_are_cut_it_says_the_same(then: float, cosine: float) -> None:
    trace = probed(from_step(300, 0.1, then), from_step(300, 0.1, cosine), aux=5.0)
    assert same_for_every_cut(trace, declared(ce=1.0, aux=0.1), RULE)


# -- quiet ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pull", [0.01, 0.3, 0.85])
def test_usual_shares_are_quiet(pull: float) -> None:
    assert changes_of(probed(pull)) == []


def test_a_leading_loss_may_pull_alone() -> None:
    assert changes_of(probed(0.02)) == []  # ce makes 98 %


def test_a_component_that_costs_nothing_may_pull_nothing() -> None:
    assert changes_of(probed(1e-5, aux=0.01)) == []


def test_opposing_losses_in_balance_are_quiet() -> None:
    """Equal shares, cosine near -1, both with noise of their own: each agrees with the sum on average."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, N, 50)) * 0.3
    a, b = a + np.eye(50)[0], b - np.eye(50)[0]
    length_a, length_b = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(axis=1) / length_a / length_b
    assert changes_of(probed(length_b / (length_a + length_b), cosine=cosine)) == []


def test_one_odd_probe_is_quiet() -> None:
    assert changes_of(probed(np.where(np.arange(N) == 300, 0.99, 0.1))) == []


def test_a_gradient_that_is_not_finite_is_no_matter_of_this_rule() -> None:
    assert changes_of(probed(np.where(np.arange(N) < 300, 0.1, np.inf))) == []
