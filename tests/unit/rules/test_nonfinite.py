"""nonfinite: at once, first in the flow of computation, one alert a run."""

from typing import Any

import numpy as np
import pytest

from lossguard.protocol.messages import ControlsSpec, Declaration
from lossguard_server.rules import nonfinite
from lossguard_server.rules.base import Finding, Info, Rule
from lossguard_server.services.engine import Engine
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import UNDECLARED, declared, hits_at, judged, new_engine, noisy, said, summed

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
    (hits,) = hits_at(RULE, trace, 3)
    finding = hits.explain(0)
    assert (hits.series, finding.component) == ("loss/aux", "aux")
    assert list(finding.numbers["nonfinite"]) == ["loss/aux", "loss/total", "grad_norm/head", "grad_norm/total"]
    assert "Still finite: matrix/R/fro 4" in finding.text
    assert ", loss/ce 2" in finding.text


def test_a_matrix_comes_before_the_losses_that_are_made_from_it() -> None:
    trace = broken("matrix/R/fro", np.inf)
    trace["loss/ce"][3] = np.nan
    assert hits_at(RULE, trace, 3)[0].series == "matrix/R/fro"


def test_the_blame_names_the_components_that_are_not_finite_and_adds_up_to_100() -> None:
    trace = broken("loss/aux", np.nan)
    trace["loss/ce"][3] = np.inf
    blame = hits_at(RULE, trace, 3)[0].explain(0).blame
    assert blame is not None
    assert [(part.component, part.percent) for part in blame.parts] == [("ce", 50), ("aux", 50)]


def test_the_remedy_is_a_pause_because_zero_times_nan_is_nan() -> None:
    remedy = hits_at(RULE, broken("loss/aux", np.nan), 3)[0].explain(0).remedy
    assert remedy is not None
    assert (remedy.kind, remedy.args) == ("pause", {})
    assert "0 * NaN" in remedy.text


def test_a_script_that_allows_no_pause_gets_words_only() -> None:
    declaration = Declaration(seq=1, controls=ControlsSpec(kinds=["set_weight"]))
    assert hits_at(RULE, broken("loss/aux", np.nan), 3, declaration)[0].explain(0).remedy is None


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


def test_an_evaluation_that_is_not_finite_is_a_finding_of_the_component() -> None:
    trace = broken("loss/ce", 2.0) | {"eval/loss/aux": np.where(np.arange(40) == 3, np.inf, 0.1)}
    (fired, _) = judged(trace, declared(ce=1.0, aux=0.1), RULE)
    assert (fired.alert.series, fired.alert.component) == ("eval/loss/aux", "aux")


@pytest.mark.parametrize("cut", [1, 7])
def test_it_does_not_matter_how_the_rows_are_cut(cut: int) -> None:
    trace = broken("grad_norm/head", np.nan, at=5)
    trace["loss/ce"][6:12] = np.nan
    assert repr(judged(trace, None, RULE, cut=cut)) == repr(judged(trace, None, RULE, cut=64))


# -- trips that no row shows ------------------------------------------------------------------------------------------

TRIP = {"mode": "device", "action": "skipped", "series": ["buffers"], "text": "buffers not finite at step 3."}

BROKEN = Rows(np.array([3]), ("loss/total",), np.array([[np.nan]]))


def healthy(engine: Engine, start: int, stop: int) -> list[tuple[str, str, int]]:
    n = stop - start
    return said(engine.observe("run", [Rows(np.arange(start, stop), ("loss/total",), np.full((1, n), 2.0))]))


def test_a_trip_of_buffers_alone_is_an_alert_of_its_own_until_twenty_calm_rows() -> None:
    engine = new_engine(RULE)
    engine.declare("run", UNDECLARED)
    assert healthy(engine, 0, 4) == []
    (change,) = engine.tripped("run", 3, TRIP)
    alert = change.alert
    assert (change.transition, alert.rule, alert.series, alert.severity) == (
        "fired",
        "nonfinite",
        "buffers",
        "critical",
    )
    assert (alert.step, alert.last_step, alert.message, alert.component) == (3, 3, TRIP["text"], None)
    assert alert.remedy is not None
    assert (alert.remedy["kind"], alert.remedy["text"].endswith("Look at the batch.")) == ("pause", True)
    assert healthy(engine, 4, 20) == []
    assert engine.tripped("run", 20, TRIP | {"series": ["buffers", "lr"]}) == [], "the same alert"
    assert healthy(engine, 20, 39) == []
    assert healthy(engine, 39, 40) == [("resolved", "nonfinite", 20)]


@pytest.mark.parametrize("first", ["row", "trip"])
def test_a_trip_whose_row_says_it_makes_no_alert_beside_that_of_the_row(first: str) -> None:
    engine, trip = new_engine(RULE), TRIP | {"series": ["loss/total", "buffers"]}
    changes = engine.tripped("run", 3, trip) if first == "trip" else []
    changes += engine.observe("run", [BROKEN])
    changes += engine.tripped("run", 3, trip)
    assert said(changes) == [("fired", "nonfinite", 3)]
    assert changes[0].alert.series == "loss/total"


@pytest.mark.parametrize("first", ["row", "trip"])
def test_buffers_and_a_row_of_one_incident_are_one_alert(first: str) -> None:
    engine = new_engine(RULE)
    changes = engine.tripped("run", 3, TRIP) if first == "trip" else engine.observe("run", [BROKEN])
    changes += engine.observe("run", [BROKEN]) if first == "trip" else engine.tripped("run", 3, TRIP)
    assert said(changes) == [("fired", "nonfinite", 3)]


def test_after_a_restart_the_alert_of_buffers_ends_as_ever_and_a_rollback_undoes_it() -> None:
    engine, restarted = new_engine(RULE), new_engine(RULE)
    engine.tripped("run", 3, TRIP)
    restarted.restore("run", engine.open_alerts("run"))
    assert healthy(restarted, 4, 24) == [("resolved", "nonfinite", 3)]
    assert said(engine.rewind("run", 5, 2)) == [("resolved", "nonfinite", 3)]


def test_a_row_without_the_total_says_nothing_of_the_buffers() -> None:
    engine = new_engine(RULE)
    healthy(engine, 0, 3)
    engine.tripped("run", 3, TRIP)
    engine.observe("run", [Rows(np.arange(4, 60), ("val/acc",), np.ones((1, 56)))])
    assert [alert.state for alert in engine.open_alerts("run")] == ["firing"]


@pytest.mark.parametrize(
    "odd", [{"series": None}, {"series": []}, {"series": 7}, {"series": [7]}, {"series": "buffers"}, {"series": {}}]
)
def test_a_trip_that_names_nothing_is_no_finding(odd: dict[str, Any]) -> None:
    assert new_engine(RULE).tripped("run", 3, TRIP | odd) == []
    assert new_engine(RULE).tripped("run", -1, TRIP) == []


@pytest.mark.parametrize("text", [None, 5, "", ["x"], "x" * 100_000])
def test_a_sentence_that_is_no_text_or_too_long_is_not_taken_over(text: Any) -> None:
    (change,) = new_engine(RULE).tripped("run", 3, TRIP | {"text": text, "action": "observed"})
    assert change.alert.message == ("x" * 1_000 if text == "x" * 100_000 else "A buffer is not finite at step 3.")
    assert "Go back" in change.alert.evidence["text"]


def test_another_rank_that_is_not_finite_is_one_alert_however_often_it_is_told() -> None:
    engine = new_engine(RULE)
    changes = [change for step in (30, 31) for change in engine.tripped("run", step, {"series": [], "rank": 1})]
    assert said(changes) == [("fired", "nonfinite", 30)]
    assert changes[0].alert.message == "Rank 1 is not finite by step 30."


def test_a_rule_that_breaks_at_a_trip_is_told_once() -> None:
    def breaks(*_: Any) -> Finding | None:
        raise ZeroDivisionError("no buffers")

    info = Info("R99", "broken", "", "", "", "", "")
    engine = new_engine(Rule(info, nonfinite.Parameters(), lambda *_: [], judge_trip=breaks), RULE)
    changes = engine.tripped("run", 3, TRIP) + engine.tripped("run", 4, TRIP)
    assert said(changes) == [("fired", "rule_health", 3), ("fired", "nonfinite", 3)]
