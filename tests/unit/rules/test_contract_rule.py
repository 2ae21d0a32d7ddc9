"""contract: a declared range or ratio, from the first step on; learned ranges of what nobody declared."""

from math import inf, nan

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec
from lossguard_server.rules import contract
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import Trace, declared, judged, new_engine, noisy, said

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
        (0.0, 0.0, (-inf, inf)),
    ],
)
def test_where_a_breach_becomes_critical(low: float, high: float, expected: tuple[float, float]) -> None:
    assert contract.limits(low, high, 3.0) == pytest.approx(expected)


def test_minus_zero_is_zero() -> None:
    assert run([-0.0] * 5, 0.0, 1.0) == []


def test_a_range_open_above() -> None:
    assert run([5.0, 1e9], 1.0, None) == []
    assert run([0.0], 1.0, None) == [("fired", "critical", "matrix/R/fro")]
    assert run([inf], 1.0, None) == [("fired", "critical", "matrix/R/fro")]


def test_the_factor_and_the_decades_are_told() -> None:
    alert = judged({"matrix/R/fro": np.array([2.85e-4])}, declared(ContractSpec("matrix/R/fro", 30, 60)), RULE)[0].alert
    assert "5.0 decades too small" in alert.evidence["text"]
    assert alert.message == "matrix/R/fro is 0.000285 at step 0; declared is [30, 60]: 1.6e5 times too small."
    assert alert.evidence["decades"] == pytest.approx(-5.02, abs=0.01)


def test_series_without_a_contract_are_no_matter() -> None:
    assert judged({"a": noisy(1.0, 50), "b": np.full(50, nan)}, declared(ContractSpec("c", 0, 1)), RULE) == []


def test_what_other_rules_judge_is_left_to_them() -> None:
    others = (ContractSpec("x", 0, 1, "bound"), ContractSpec("count/x", 5, 9), ContractSpec("share/x", 0, 1, "range"))
    trace = {"x": np.full(9, 50.0), "count/x": np.full(9, 50.0), "share/x": np.full(9, 50.0)}
    assert judged(trace, declared(*others, ContractSpec("x", None, None, "a kind of 2.0")), RULE) == []


def test_a_series_logged_every_tenth_step_holds_by_its_own_samples() -> None:
    engine = new_engine(RULE)
    engine.declare("run", declared(ContractSpec("val/iou", 1, 10)))
    changes = []
    for step in range(40):
        name = "val/iou" if step % 10 == 0 else "loss/total"
        changes += engine.observe("run", [Rows(np.array([step]), (name,), np.array([[20.0]]))])
    changes += engine.flush("run")
    assert said(changes) == [("fired", "contract", 20)]


def test_the_range_of_a_matrix_holds_in_evaluation_too_and_that_of_a_loss_does_not() -> None:
    contracts = ContractSpec("matrix/R/fro", 30, 60, "range"), ContractSpec("loss/ce", 0.5, 1.0, "range")
    trace = {"eval/matrix/R/fro": np.full(3, 2.85e-4), "eval/loss/ce": np.full(3, 2.0)}
    (change,) = judged(trace, declared(*contracts), RULE)
    assert (change.alert.series, change.alert.step) == ("eval/matrix/R/fro", 0)


# -- ratios ------------------------------------------------------------------------------------------------------------

RATIO = ContractSpec("grad_norm/head", 0.1, 10.0, "ratio", ["grad_norm/backbone"])


def ratio(head: float, backbone: float, prefix: str = "") -> list[tuple[str, str, int]]:
    trace = {f"{prefix}grad_norm/head": np.full(4, head), f"{prefix}grad_norm/backbone": np.full(4, backbone)}
    return [(c.alert.series, c.alert.severity, c.alert.last_step) for c in judged(trace, declared(RATIO), RULE)]


def test_a_ratio_lies_within_its_range_in_either_mode() -> None:
    assert ratio(1.0, 2.0) == []
    assert ratio(20.0, 1.0) == [("grad_norm/head", "warning", 2)]
    assert ratio(1.0, 100.0) == [("grad_norm/head", "critical", 0)]
    assert ratio(1.0, 0.0) == [("grad_norm/head", "critical", 0)], "nothing to divide by"
    assert ratio(1.0, 100.0, "eval/") == [("eval/grad_norm/head", "critical", 0)]


def test_a_ratio_to_what_comes_less_often_takes_its_newest_value() -> None:
    engine = new_engine(RULE)
    engine.declare("run", declared(RATIO))
    row = Rows(np.array([0]), ("grad_norm/head",), np.array([[500.0]]))
    assert engine.observe("run", [row]) + engine.flush("run") == [], "the other one has not come"
    engine.observe("run", [Rows(np.array([1]), ("grad_norm/backbone",), np.array([[1.0]]))])
    rows = Rows(np.array([2, 3]), ("grad_norm/head",), np.array([[5.0, 500.0]]))
    (change,) = engine.observe("run", [rows]) + engine.flush("run")
    assert change.alert.last_step == 3
    assert "grad_norm/head / grad_norm/backbone is 500" in change.alert.message


# -- learned -----------------------------------------------------------------------------------------------------------


def learning(*late: float, n: int = 400) -> Trace:
    fro = noisy(40.0, n, 0.1)
    fro[-len(late) :] = late
    return {"matrix/R/fro": fro, "matrix/R/defect": noisy(1e-7, n, 2.0), "matrix/R/worst": np.arange(n) * 1.0}


def test_an_undeclared_matrix_norm_has_the_range_of_its_first_200_values() -> None:
    assert judged(learning(40.0), None, RULE) == []
    assert judged(learning(1e9, 1e9), None, RULE) == [], "two of them"
    (change,) = judged(learning(1e9, 1e9, 1e9), None, RULE)
    assert (change.alert.series, change.alert.severity, change.alert.step) == ("matrix/R/fro", "warning", 397)
    assert change.alert.message.endswith("above 192, 4 times the 99th percentile of its first 200 values.")
    low = judged(learning(1.0, 1.0, 1.0), None, RULE)[0].alert.message
    assert low.endswith("below 7.93, a quarter of the 1st percentile of its first 200 values.")
    assert judged(learning(1e9, 1e9, 1e9), declared(ContractSpec("matrix/R/fro", 0, 1e10)), RULE) == []


def test_nothing_is_learned_before_200_values_and_nan_is_no_value() -> None:
    assert judged(learning(*[1e9] * 9, n=150), None, RULE) == []
    trace = learning(1e9, 1e9, 1e9)
    trace["matrix/R/fro"][:198] = nan
    assert judged(trace, None, RULE) == [], "the three are among the first 200"


def test_a_range_below_zero_widens_the_other_way() -> None:
    trace = {"matrix/R/trace": -noisy(40.0, 300, 0.1)}
    trace["matrix/R/trace"][250:] = -100.0
    assert judged(trace, None, RULE) == []
    trace["matrix/R/trace"][250:] = -1.0
    assert said(judged(trace, None, RULE)) == [("fired", "contract", 252)]


@pytest.mark.parametrize("cut", [1, 7])
def test_it_does_not_matter_how_the_rows_are_cut(cut: int) -> None:
    trace = learning(*[1e9] * 5) | {"grad_norm/head": noisy(15.0, 400), "grad_norm/backbone": noisy(1.4, 400, 0.3)}
    declaration = declared(RATIO, ContractSpec("matrix/R/defect", 0, 1e-6))
    changes = judged(trace, declaration, RULE, cut=64)
    assert {change.alert.series for change in changes} == {"matrix/R/fro", "grad_norm/head", "matrix/R/defect"}
    assert repr(judged(trace, declaration, RULE, cut=cut)) == repr(changes)
