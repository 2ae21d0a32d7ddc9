"""Values at the ends of what a float holds, and declarations that mean nothing: an alert says it, no rule breaks."""

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec
from lossguard_server.rules.scale import short, short_exp, slip
from lossguard_server.services.engine import RULE_HEALTH
from unit.rules.rule_world import Trace, declared, judged, noisy

N = 60


def steady(**series: float) -> Trace:
    """Each series at one value; `__` stands for `/`."""
    trace = {"loss/total": noisy(2.0, N, 0.02)}
    return trace | {name.replace("__", "/"): np.full(N, value) for name, value in series.items()}


@pytest.mark.parametrize(
    ("trace", "contract", "rule"),
    [
        (steady(matrix__R__fro=5e-324, eval__matrix__R__fro=1.0), None, "train_eval"),
        (steady(x=1e-300), ContractSpec("x", 1e300, None, "range"), "contract"),
        (steady(x=1.7e308), ContractSpec("x", None, 5e-324, "range"), "contract"),
        (steady(x=5e-324, count__m=64.0), ContractSpec("x", 1.0, 2.0, "bound"), "bound"),
        (steady(matrix__R__trace=-1.0), ContractSpec("matrix/R", kind="psd", expected=0.0), "contract"),
        (steady(count__m=-5.0), ContractSpec("count/m", None, None, "count", expected=100.0), "count"),
        (steady(count__m=-1e308), ContractSpec("count/m", None, None, "count", expected=100.0), "count"),
        (steady(count__m=1e308), ContractSpec("count/m", None, 10.0, "count"), "count"),
        (steady(count__m=0.0), ContractSpec("count/m", 1.0, None, "count", expected=-1e308), "count"),
    ],
)  # fmt: skip
def test_an_extreme_value_is_told_and_breaks_nothing(trace: Trace, contract: ContractSpec | None, rule: str) -> None:
    rules = {change.alert.rule for change in judged(trace, declared(*([contract] if contract else [])))}
    assert rule in rules
    assert RULE_HEALTH not in rules


@pytest.mark.parametrize(
    ("trace", "contract"),
    [
        (steady(**{"memory__cuda:0__total_gib": 0.0, "memory__cuda:0__peak_gib": 5.0}), None),
        (steady(matrix__R__trace=1.0, matrix__R__fro=0.5), ContractSpec("matrix/R", kind="psd", expected=0.0)),
        (steady(matrix__R__trace=1.0, matrix__R__fro=0.5), ContractSpec("matrix/R", kind="psd", expected=-1e308)),
        (steady(count__m=64.0), ContractSpec("count/m", None, None, "count", expected=-5.0)),
    ],
)
def test_what_means_nothing_says_nothing(trace: Trace, contract: ContractSpec | None) -> None:
    assert judged(trace, declared(*([contract] if contract else []))) == []


@pytest.mark.parametrize("odd", [64.0, 1e308, -1e308])
def test_one_count_that_is_none_does_not_swallow_those_after_it(odd: float) -> None:
    trace = steady(count__m=64.0)
    trace["count/m"][10] = odd
    trace["count/m"][40:] = 1.0
    changes = judged(trace, declared(ContractSpec("count/m", None, None, "count")))
    assert [change.alert.step for change in changes if change.transition == "fired"] == [51]


def test_a_loss_whose_bound_has_no_room_has_no_ceiling() -> None:
    trace = {"loss/total": np.full(300, 1.0), "loss/ce": np.full(300, 1.0)}
    assert judged(trace, declared(ContractSpec("loss/ce", 1.0, 1.0, "bound"), ce=1.0)) == []


def test_the_group_of_the_largest_norm_is_named_where_its_square_is_no_float() -> None:
    trace = {"loss/total": noisy(2.0, 200, 0.02), "grad_norm/total": noisy(1.0, 200, 0.2), "grad_norm/a": np.ones(200)}
    for name in ("grad_norm/total", "grad_norm/a"):
        trace[name][150:] = 1e200
    changes = judged(trace)
    assert any(change.alert.rule == "grad_norm_high" for change in changes)
    assert RULE_HEALTH not in {change.alert.rule for change in changes}


@pytest.mark.parametrize("step_s", [5e-324, 1e-300, 1.7e308])
def test_a_step_time_that_no_clock_measures_is_none(step_s: float) -> None:
    trace = {"loss/total": noisy(2.0, 2000, 0.02), "step_time_s": noisy(0.1, 2000, 0.05)}
    trace["step_time_s"][1000:] = step_s
    assert judged(trace) == []


@pytest.mark.parametrize(("power", "text"), [(0.0, "1"), (7.0, "1100"), (709.0, "8.2e307"), (1454.0, "2.9e631")])
def test_a_quotient_that_no_float_holds_has_words(power: float, text: str) -> None:
    assert short_exp(power) == text


def test_a_slip_of_hundreds_of_decades_is_counted() -> None:
    found = slip(1e-200, 1e200, 1e201)
    assert found is None  # the factor itself is no float
    found = slip(1e-100, 1e200, 1e201)
    assert found is not None
    assert found.decades == pytest.approx(-300.0)
    turned = slip(1e-150, 1e308, 1.0)  # a low bound above the high one
    assert turned is not None
    assert turned.decades == pytest.approx(-458.0)
    assert short(1.7976931348623157e308) == "1.8e308"
