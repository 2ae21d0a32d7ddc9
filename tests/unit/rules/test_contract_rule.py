"""contract: a declared range, from the first step on."""

from math import inf, nan

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec
from lossguard_server.rules import contract
from unit.rules.rule_world import declared, judged, new_engine, noisy, said

RULE = contract.rule()


def run(values: list[float], low: float | None, high: float | None) -> list[tuple[str, str, str]]:
    changes = judged({"matrix/R/fro": np.array(values)}, declared(ContractSpec("matrix/R/fro", low, high)), RULE)
    return [(change.transition, change.alert.severity, change.alert.series) for change in changes]


def test_inside_and_on_the_bounds_it_is_silent() -> None:
    assert run([30.0, 45.0, 60.0, 30.0], 30.0, 60.0) == []


def test_outside_for_three_samples_is_a_warning() -> None:
    assert run([70.0, 70.0, 45.0, 70.0], 30.0, 60.0) == []
    assert run([70.0, 29.0, 70.0], 30.0, 60.0) == [("fired", "warning", "matrix/R/fro")]


@pytest.mark.parametrize("value", [2.85e-4, 181.0, -1.0, nan, inf, -inf])
def test_far_outside_or_not_finite_is_critical_at_the_first_step(value: float) -> None:
    assert run([value], 30.0, 60.0) == [("fired", "critical", "matrix/R/fro")]


def test_a_warning_becomes_critical_in_the_same_alert() -> None:
    assert [t for t, _, _ in run([70.0] * 3 + [1e12], 30.0, 60.0)] == ["fired", "escalated"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (30.0, 60.0, (10.0, 180.0)),
        (-2.0, -1.0, (-6.0, -1.0 / 3.0)),
        (0.0, 2.0, (-4.0, 6.0)),
        (-1.0, 0.0, (-3.0, 2.0)),
        (1.0, nan, (1.0 / 3.0, inf)),
        (nan, 5.0, (-inf, 15.0)),
        (0.0, nan, (-inf, inf)),
    ],
)
def test_where_a_breach_becomes_critical(low: float, high: float, expected: tuple[float, float]) -> None:
    assert contract.limits(low, high, 3.0) == pytest.approx(expected)


def test_minus_zero_is_zero() -> None:
    assert run([-0.0] * 5, 0.0, 1.0) == []


def test_a_least_count_is_a_range_open_above() -> None:
    assert run([5.0, 1e9], 1.0, None) == []
    assert run([0.0], 1.0, None) == [("fired", "critical", "matrix/R/fro")]


def test_the_decades_are_told() -> None:
    alert = judged({"matrix/R/fro": np.array([2.85e-4])}, declared(ContractSpec("matrix/R/fro", 30, 60)), RULE)[0].alert
    assert "5.0 decades too small" in alert.evidence["text"]
    assert "[30, 60]" in alert.message


def test_series_without_a_contract_are_no_matter() -> None:
    assert judged({"a": noisy(1.0, 50), "b": np.full(50, nan)}, declared(ContractSpec("c", 0, 1)), RULE) == []


def test_a_series_logged_every_tenth_step_holds_by_its_own_samples() -> None:
    engine = new_engine(RULE)
    engine.declare("run", declared(ContractSpec("count/masked", 1, 10)))
    changes = []
    for step in range(40):
        names = ["count/masked"] if step % 10 == 0 else ["loss/total"]
        changes += engine.observe("run", np.array([step]), names, np.array([[20.0]]))
    changes += engine.flush("run")
    assert said(changes) == [("fired", "contract", 20)]
