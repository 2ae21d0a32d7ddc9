"""Steps whose update was kept out of the weights: what the rules say of them, and what they do not learn from them."""

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec
from lossguard_server.rules import contract, grad_norm_high, nonfinite
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import Trace, declared, hits_at, judged, new_engine, noisy, rows_of, said, summed, window_at

RULE = nonfinite.rule()
N, AT = 60, 10


def trained(**more: np.ndarray) -> Trace:
    """A healthy run of two components, with gradient norms and a matrix."""
    losses = {"ce": noisy(2.0, N), "aux": noisy(1.0, N, seed=1)}
    norms = {"grad_norm/total": noisy(0.5, N, seed=2), "grad_norm/head": noisy(0.2, N, seed=3)}
    return summed({"ce": 1.0, "aux": 0.1}, losses, **norms, **{"matrix/R/fro": noisy(40.0, N)}, **more)


def at(value: float, otherwise: float = 0.0, step: int = AT) -> np.ndarray:
    column = np.full(N, otherwise)
    column[step] = value
    return column


def broken(trace: Trace, value: float, *series: str) -> Trace:
    for name in series:
        trace[name] = trace[name].copy()
        trace[name][AT] = value
    return trace


SCALED = {"loss_scale": np.full(N, 65_536.0)}
GRADIENTS = ("grad_norm/total", "grad_norm/head")


@pytest.mark.parametrize("value", [np.inf, np.nan, -np.inf])
@pytest.mark.parametrize("skipped", [1.0, 3.0])
def test_a_scaler_that_probes_is_no_alert(value: float, skipped: float) -> None:
    trace = broken(trained(**SCALED, skipped=at(skipped)), value, *GRADIENTS)
    assert judged(trace, None, RULE) == []
    ranges = [ContractSpec(name, 0.0, 100.0) for name in GRADIENTS]
    assert judged(trace, declared(*ranges, ce=1.0, aux=0.1)) == [], "nor for a range that somebody declared"


@pytest.mark.parametrize(("probes", "fires"), [(30, False), (31, True)])
def test_a_scaler_that_never_finds_a_scale_is_an_alert(probes: int, fires: bool) -> None:
    trace = trained(**SCALED, skipped=np.where(np.arange(N) < probes, 1.0, 0.0))
    trace["grad_norm/total"][:probes] = np.inf
    changes = judged(trace, None, RULE)
    assert [(change.alert.series, change.alert.step) for change in changes[:1]] == (
        [("grad_norm/total", 30)] if fires else []
    )
    trace["skipped"][15] = 0.0
    trace["grad_norm/total"][15] = 0.5
    assert judged(trace, None, RULE) == [], "in between it had found one"


def test_values_that_come_by_themselves_do_not_end_the_count() -> None:
    engine, names = new_engine(RULE), ("loss/total", "grad_norm/total", "skipped", "loss_scale")
    fired = []
    for step in range(31):
        row = Rows(np.array([step]), names, np.array([[1.0], [np.inf], [1.0], [2.0]]))
        fired += engine.observe("run", [row, Rows(np.array([step]), ("val/acc",), np.array([[0.5]]))])
    assert said(fired) == [("fired", "nonfinite", 30)]


@pytest.mark.parametrize("series", ["loss/aux", "loss/total", "contribution/aux", "matrix/R/fro"])
def test_what_is_broken_before_the_gradients_is_no_probe(series: str) -> None:
    trace = trained(**SCALED, skipped=at(1.0), **{"contribution/aux": noisy(0.1, N)})
    (fired, resolved) = judged(broken(trace, np.nan, series, *GRADIENTS), None, RULE)
    assert (fired.alert.series, fired.alert.severity, fired.alert.step) == (series, "critical", AT)
    assert (fired.transition, resolved.transition) == ("fired", "resolved")
    assert set(GRADIENTS) < set(fired.alert.evidence["nonfinite"]), "what followed from it is listed"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"skipped": at(1.0)},
        SCALED,
        SCALED | {"skipped": at(0.0)},
        SCALED | {"skipped": at(np.nan)},
        SCALED | {"skipped": at(1.0, step=AT - 1)},
    ],
    ids=["nothing said", "a guard without a scaler", "not said that it was skipped", "taken", "not known", "before"],
)
def test_gradients_that_are_not_finite_for_another_reason_fire(more: Trace) -> None:
    (fired, *_) = judged(broken(trained(**more), np.inf, *GRADIENTS), None, RULE)
    assert (fired.alert.series, fired.alert.step) == ("grad_norm/head", AT)


def test_a_scale_of_an_earlier_row_makes_no_probe() -> None:
    trace, engine = broken(trained(**SCALED, skipped=at(1.0)), np.inf, *GRADIENTS), new_engine(RULE)
    assert engine.observe("run", [rows_of(trace, AT - 1, AT)]) == []
    now = {name: values for name, values in trace.items() if name != "loss_scale"}
    assert said(engine.observe("run", [rows_of(now, AT, AT + 1)])) == [("fired", "nonfinite", AT)]


@pytest.mark.parametrize(("skipped", "is_kept_out"), [(1.0, True), (0.0, False), (np.nan, False), (None, False)])
def test_the_words_say_whether_the_weights_were_reached(skipped: float | None, is_kept_out: bool) -> None:
    more = {} if skipped is None else {"skipped": at(skipped)}
    (hits,) = hits_at(RULE, broken(trained(**more), np.nan, "loss/aux", "loss/total"), AT)
    finding = hits.explain(0)
    assert finding.remedy is not None
    assert (finding.remedy.kind, hits.severity.word) == ("pause", "critical")
    for words in (finding.message, finding.remedy.text):
        assert (nonfinite.KEPT_OUT in words) == is_kept_out
    assert ("Go back to a finite state." in finding.remedy.text) != is_kept_out
    assert "0 * NaN" in finding.remedy.text


def test_an_open_alert_ends_with_calm_steps_as_before() -> None:
    trace = broken(trained(skipped=at(1.0)), np.nan, "loss/aux", "loss/total", *GRADIENTS)
    assert said(judged(trace, None, RULE)) == [("fired", "nonfinite", AT), ("resolved", "nonfinite", AT)]


# -- what is normal ---------------------------------------------------------------------------------------------------


def level(trace: Trace, name: str) -> tuple[float, float]:
    window = window_at(trace, N - 1)
    number = window.index[name]
    return float(window.levels.level[0, number]), float(window.levels.scale[0, number])


@pytest.mark.parametrize("steps", [slice(5, 12), slice(35, 50)], ids=["while warming up", "later"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_norms_of_skipped_steps_teach_nothing(name: str, steps: slice) -> None:
    def teaching(value: float, skipped: float) -> tuple[float, float]:
        trace = trained(skipped=np.zeros(N))
        trace[name], trace["skipped"][steps] = trace[name].copy(), skipped
        trace[name][steps] = value
        return level(trace, name)

    assert teaching(1e6, 1.0) == teaching(1e-6, 1.0) == teaching(np.inf, 1.0)
    assert teaching(1e6, 0.0) != teaching(1e-6, 0.0), "a step that was taken does teach"
    assert np.exp(teaching(1e6, 1.0)[0]) == pytest.approx(0.5 if name == "grad_norm/total" else 0.2, rel=0.1)


def test_the_losses_of_skipped_steps_count_as_ever() -> None:
    trace = trained(skipped=np.where(np.arange(N) % 2 == 0, 1.0, 0.0))
    assert level(trace, "loss/total") == level(trained(), "loss/total")


def test_a_norm_of_skipped_steps_is_not_called_high_and_one_of_taken_steps_is() -> None:
    for skipped, rules in ((1.0, set()), (0.0, {"grad_norm_high"})):
        trace = trained(skipped=np.zeros(N))
        trace["grad_norm/total"][40:50], trace["skipped"][40:50] = 1e4, skipped
        assert {change.alert.rule for change in judged(trace, None, grad_norm_high.rule(), RULE)} == rules


def test_an_open_alert_of_the_norm_is_not_calmed_by_skipped_steps() -> None:
    trace = trained(skipped=np.zeros(N))
    trace["grad_norm/total"][32:36] = 1e4
    trace["skipped"][36:59] = 1.0
    assert said(judged(trace, None, grad_norm_high.rule())) == [("fired", "grad_norm_high", 33)]
    trace["skipped"][:] = 0.0
    assert [change.transition for change in judged(trace, None, grad_norm_high.rule())] == ["fired", "resolved"]


def test_a_range_is_judged_at_skipped_steps_without_a_scaler() -> None:
    trace = broken(trained(skipped=at(1.0)), np.inf, "grad_norm/total")
    rule = contract.rule()
    (fired, *_) = judged(trace, declared(ContractSpec("grad_norm/total", 0.0, 100.0), ce=1.0), rule)
    assert (fired.alert.rule, fired.alert.severity) == ("contract", "critical")
