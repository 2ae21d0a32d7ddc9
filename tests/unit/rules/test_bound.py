"""bound: what is impossible is critical at once; a loss at its ceiling is a warning."""

from math import inf, nan

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec
from lossguard_server.rules import bound
from unit.rules.rule_world import Trace, declared, judged, noisy, said, summed

RULE = bound.rule()
COSINE = ContractSpec("loss/spectrum", 0.0, 2.0, "bound")


def run(*values: float, contract: ContractSpec = COSINE) -> list[tuple[str, str, int]]:
    changes = judged({contract.series: np.array(values)}, declared(contract, spectrum=1.0), RULE)
    return [(change.transition, change.alert.severity, change.alert.step) for change in changes]


@pytest.mark.parametrize("value", [0.0, -0.0, 2.0, 1.3, -5e-7, 2.0000012])
def test_within_its_bounds_and_their_rounding_it_is_silent(value: float) -> None:
    assert run(value) == []


@pytest.mark.parametrize("value", [2.00001, -1e-5, 1.7e25, nan, inf, -inf])
def test_the_first_value_outside_is_critical(value: float) -> None:
    assert run(1.0, value) == [("fired", "critical", 1)]
    assert run(value) == [("fired", "critical", 0)]


@pytest.mark.parametrize(("low", "high", "bad"), [(0.0, None, -0.1), (None, 1.0, 1.1)])
def test_one_side_may_be_open(low: float | None, high: float | None, bad: float) -> None:
    contract = ContractSpec("kl", low, high, "bound")
    assert run(0.5, contract=contract) == []
    assert run(bad, contract=contract) == [("fired", "critical", 0)]


def test_the_tolerance_grows_with_the_bound() -> None:
    contract = ContractSpec("x", 0.0, 1e6, "bound")
    assert run(1e6 + 0.5, contract=contract) == []
    assert run(1e6 + 2.0, contract=contract) == [("fired", "critical", 0)]


def test_a_range_is_not_this_rules_matter() -> None:
    assert run(1.7e25, contract=ContractSpec("loss/spectrum", 0.0, 2.0, "range")) == []


def test_it_holds_in_evaluation_mode_and_names_the_component() -> None:
    trace = summed({"spectrum": 1.0}, {"spectrum": np.full(4, 0.5)}) | {"eval/loss/spectrum": np.full(4, 1.7e25)}
    (change,) = judged(trace, declared(COSINE, spectrum=1.0), RULE)
    alert = change.alert
    assert (alert.series, alert.component, alert.step) == ("eval/loss/spectrum", "spectrum", 0)
    assert "[0, 2]" in alert.message
    assert alert.remedy is not None
    assert alert.remedy["kind"] == "pause"


# -- at its ceiling ----------------------------------------------------------------------------------------------------


def ceiling(n: int, level: float = 1.95, series: str = "loss/spectrum") -> Trace:
    return {series: np.minimum(noisy(level, n, 0.001), 2.0)}


def test_a_loss_at_its_ceiling_for_more_than_200_rows_is_a_warning() -> None:
    assert judged(ceiling(200), declared(COSINE), RULE) == []
    (change,) = judged(ceiling(201), declared(COSINE), RULE)
    assert (change.alert.severity, change.alert.step) == ("warning", 200)
    assert "201 rows" in change.alert.message


def test_one_row_below_begins_anew_and_a_row_without_it_does_not() -> None:
    trace = ceiling(400)
    trace["loss/spectrum"][200] = 1.0
    assert judged(trace, declared(COSINE), RULE) == []
    trace["loss/spectrum"][200] = nan
    assert judged(trace, declared(COSINE), RULE)[0].alert.severity == "critical", "no value is outside"


def test_a_loss_below_the_ceiling_and_an_accuracy_at_it_are_silent() -> None:
    assert judged(ceiling(900, 1.85), declared(COSINE), RULE) == []
    accuracy = ContractSpec("val/acc", 0.0, 2.0, "bound")
    assert judged(ceiling(900, series="val/acc"), declared(accuracy), RULE) == []
    assert judged(ceiling(900), declared(ContractSpec("loss/spectrum", None, 2.0, "bound")), RULE) == []


@pytest.mark.parametrize("cut", [1, 7])
def test_it_does_not_matter_how_the_rows_are_cut(cut: int) -> None:
    trace = ceiling(300)
    trace["loss/spectrum"][260:263] = 2.1
    changes = judged(trace, declared(COSINE), RULE, cut=64)
    assert said(changes) == [("fired", "bound", 200), ("escalated", "bound", 260)]
    assert repr(judged(trace, declared(COSINE), RULE, cut=cut)) == repr(changes)
