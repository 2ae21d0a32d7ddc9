"""nonfinite: at once, first in the flow of computation, one alert a run."""

import numpy as np
import pytest

from lossguard.protocol.messages import ControlsSpec, Declaration
from lossguard_server.rules import nonfinite
from unit.rules.rule_world import declared, judged, noisy, said, summed, verdicts_at, window_at

RULE = nonfinite.rule()


def broken(series: str, value: float, at: int = 3, n: int = 40) -> dict[str, np.ndarray]:
    trace = summed(
        {"ce": 1.0, "aux": 0.1},
        {"ce": noisy(2.0, n), "aux": noisy(1.0, n)},
        **{"grad_norm/total": noisy(0.5, n), "grad_norm/head": noisy(0.2, n), "matrix/R/fro": noisy(40.0, n)},
    )
    trace[series] = trace[series].copy()
    trace[series][at] = value
    return trace


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("series", ["loss/total", "loss/aux", "grad_norm/total", "grad_norm/head", "matrix/R/fro"])
def test_it_fires_at_once_without_warm_up(series: str, value: float) -> None:
    (change,) = [c for c in judged(broken(series, value, at=0), None, RULE) if c.transition == "fired"]
    assert (change.alert.series, change.alert.severity, change.alert.step) == (series, "critical", 0)


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, -1e308])
def test_a_finite_value_of_any_size_is_no_matter(value: float) -> None:
    assert judged(broken("loss/total", value), None, RULE) == []


def test_what_is_not_a_loss_or_a_norm_may_be_nan() -> None:
    assert judged(broken("loss/ce", 1.0) | {"val/acc": np.full(40, np.nan)}, None, RULE) == []


def test_the_first_in_the_flow_of_computation_is_named_and_the_others_are_listed() -> None:
    trace = broken("loss/aux", np.nan)
    for series in ("loss/total", "grad_norm/total", "grad_norm/head"):
        trace[series][3] = np.nan
    (verdict,) = verdicts_at(RULE, trace, 3)
    finding = verdict.explain()
    assert (verdict.series, finding.component) == ("loss/aux", "aux")
    assert list(finding.numbers["nonfinite"]) == ["loss/aux", "loss/total", "grad_norm/head", "grad_norm/total"]
    assert "matrix/R/fro" in finding.text


def test_a_matrix_comes_before_the_losses_that_are_made_from_it() -> None:
    trace = broken("matrix/R/fro", np.inf)
    trace["loss/ce"][3] = np.nan
    assert verdicts_at(RULE, trace, 3)[0].series == "matrix/R/fro"


def test_the_blame_names_the_components_that_are_not_finite_and_adds_up_to_100() -> None:
    trace = broken("loss/aux", np.nan)
    trace["loss/ce"][3] = np.inf
    blame = verdicts_at(RULE, trace, 3)[0].explain().blame
    assert blame is not None
    assert [(part.component, part.percent) for part in blame.parts] == [("ce", 50), ("aux", 50)]


def test_the_remedy_is_a_pause_because_zero_times_nan_is_nan() -> None:
    remedy = verdicts_at(RULE, broken("loss/aux", np.nan), 3)[0].explain().remedy
    assert remedy is not None
    assert (remedy.kind, remedy.args) == ("pause", {})
    assert "0 * NaN" in remedy.text


def test_a_script_that_allows_no_pause_gets_words_only() -> None:
    declaration = Declaration(seq=1, controls=ControlsSpec(kinds=["set_weight"]))
    window = window_at(broken("loss/aux", np.nan), 3, declaration)
    assert RULE.judge(window)[0].explain().remedy is None


def test_what_turns_nan_later_joins_the_alert_that_is_open() -> None:
    trace = broken("grad_norm/head", np.nan, at=5)
    for series in ("loss/ce", "loss/total"):
        trace[series][6:] = np.nan
    assert said(judged(trace, declared(ce=1.0, aux=0.1), RULE)) == [("fired", "nonfinite", 5)]


def test_it_is_over_after_twenty_finite_steps() -> None:
    assert said(judged(broken("loss/ce", np.nan, at=3), None, RULE)) == [
        ("fired", "nonfinite", 3),
        ("resolved", "nonfinite", 3),
    ]
