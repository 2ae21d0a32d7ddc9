"""R11: a loss that is large and carries almost no gradient."""

import numpy as np
import numpy.typing as npt
import pytest

from lossguard_server.rules import saturation
from lossguard_server.rules.alert import AlertChange
from lossguard_server.rules.saturation import measure
from unit.rules.rule_world import Trace, declared, noisy, summed
from unit.rules.stage_world import at_every, fired, same_for_every_cut, told

RULE = saturation.rule()
N = 1_600


def probed(ce: npt.ArrayLike, aux: npt.ArrayLike, pull_ce: npt.ArrayLike, pull_aux: npt.ArrayLike) -> Trace:
    """A run whose raw losses and whose gradients' lengths at the shared activation are given; they are orthogonal."""
    ce, aux, pull_ce, pull_aux = (np.broadcast_to(np.asarray(v, np.float64), N) for v in (ce, aux, pull_ce, pull_aux))
    whole = pull_ce + 0.01 * pull_aux
    norm = np.hypot(pull_ce, 0.01 * pull_aux)
    trace = summed({"ce": 1.0, "aux": 0.01}, {"ce": ce, "aux": aux}, **{"grad_norm/total": norm})
    probes = {"grad_share/ce": pull_ce / whole, "grad_share/aux": 0.01 * pull_aux / whole, "grad_cos/ce|aux": 0.0 * ce}
    return {**{name: at_every(N, 10, values) for name, values in probes.items()}, **trace}


def changes_of(trace: Trace) -> list[AlertChange]:
    return told(trace, declared(ce=1.0, aux=0.01), RULE)


def test_the_loss_of_the_report_is_named() -> None:
    """100 log1p(ppm / 100) at ppm of 1.1e5: raw 700, derivative 1 / (1 + ppm / 100) = 0.0009 of an error of 1."""
    (change,) = changes_of(
        probed(noisy(0.14, N), noisy(700.0, N, 0.01, 1), noisy(0.3, N, 0.1, 2), noisy(0.09, N, 0.1, 3))
    )
    alert = change.alert
    assert (alert.series, alert.severity, alert.component) == ("grad_share/aux", "warning", "aux")
    assert alert.last_step == 20
    assert "contributes 98 % of the total and carries almost no gradient (0.28 %)" in alert.message
    assert "linear tail" in alert.evidence["text"]
    assert alert.remedy is None


def test_a_gradient_that_shrinks_as_the_loss_grows_is_shown() -> None:
    """By batch: the raw loss varies by a few per cent, its gradient by exp(-L / 100)."""
    raw = noisy(60.0, N, 0.4, 1)
    (change,) = changes_of(
        probed(noisy(2.2, N), raw, noisy(0.5, N, 0.2, 2), 20 * np.exp(-raw / 30) * noisy(1.0, N, 0.3, 3))
    )
    assert (change.alert.series, change.alert.severity) == ("grad_share/aux", "warning")
    assert change.alert.last_step == 740  # asked at the 50th and at the 75th probe
    assert change.alert.evidence["correlation"] < -0.5
    assert "the larger its loss, the smaller its gradient" in change.alert.message


def test_however_the_rows_are_cut_it_says_the_same() -> None:
    raw = noisy(60.0, N, 0.4, 1)
    trace = probed(noisy(2.2, N), raw, noisy(0.5, N, 0.2, 2), 20 * np.exp(-raw / 30) * noisy(1.0, N, 0.3, 3))
    assert same_for_every_cut(trace, declared(ce=1.0, aux=0.01), RULE)


# -- quiet ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_gradients_that_grow_with_their_loss_or_by_themselves_are_quiet(seed: int) -> None:
    raw = noisy(60.0, N, 0.3, seed)
    grown = noisy(2.2, N, 0.1, seed + 10)
    assert (
        changes_of(probed(grown, raw, 0.2 * grown * noisy(1, N, 0.3, seed + 20), raw * noisy(0.3, N, 0.3, seed + 30)))
        == []
    )
    assert changes_of(probed(grown, raw, noisy(0.5, N, 0.3, seed + 20), noisy(20.0, N, 0.3, seed + 30))) == []


def test_gradients_that_grow_while_the_loss_falls_are_a_trend() -> None:
    """As of a language model: from 10 to 2.5 in the loss, from 0.2 to 1 in the gradient."""
    along = 1 - np.exp(-np.arange(N) / 300.0)
    ce = noisy(10 - 7.5 * along, N, 0.03)
    assert (
        changes_of(probed(ce, noisy(1.0, N, 0.1, 1), noisy(0.2 + 0.8 * along, N, 0.2, 2), noisy(20.0, N, 0.2, 3))) == []
    )


def test_a_loss_that_is_mostly_an_offset_keeps_its_gradient() -> None:
    assert (
        changes_of(probed(noisy(0.2, N), noisy(700.0, N, 0.01, 1), noisy(0.3, N, 0.1, 2), noisy(10.0, N, 0.1, 3))) == []
    )


def test_a_component_that_never_touches_the_activation_is_quiet() -> None:
    assert changes_of(probed(noisy(0.2, N), noisy(700.0, N, 0.01, 1), noisy(0.3, N, 0.1, 2), 0.0)) == []


def test_chance_reaches_the_limit_about_once_in_ten_thousand() -> None:
    random = np.random.default_rng(0)
    found = [measure(*random.normal(size=(2, 100))) for _ in range(3_000)]
    assert sum(each is not None and each.fails(saturation.Parameters()) for each in found) <= 3


def test_a_loss_that_does_not_vary_says_nothing() -> None:
    assert measure(np.zeros(100), np.random.default_rng(0).normal(size=100)) is None
    assert measure(np.random.default_rng(0).normal(size=40), np.zeros(40)) is None


def test_it_is_told_once() -> None:
    changes = changes_of(
        probed(noisy(0.14, N), noisy(700.0, N, 0.01, 1), noisy(0.3, N, 0.1, 2), noisy(0.09, N, 0.1, 3))
    )
    assert fired(changes) == [("fired", "grad_share/aux", "warning")]
