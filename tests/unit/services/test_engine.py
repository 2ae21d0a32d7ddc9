"""The engine: rows to steps, steps to alerts, alerts and persons, restarts, broken rules."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lossguard.protocol.numbers import dumps
from lossguard_server.rules import default_rules, loss_jump, nonfinite
from lossguard_server.rules.base import AT_ONCE, Finding, Rule, Severity, Verdict
from lossguard_server.rules.lifecycle import IllegalTransition
from lossguard_server.rules.window import Window
from lossguard_server.services.engine import RULE_HEALTH, Alert, AlertChange, Engine, UnknownAlert
from unit.rules.rule_world import Trace, judged, new_engine, noisy, report, report_declaration, said


def see(engine: Engine, trace: Trace, start: int, stop: int, run: str = "run") -> list[AlertChange]:
    columns = np.array([column[start:stop] for column in trace.values()])
    return engine.observe(run, np.arange(start, stop, dtype=np.int64), list(trace), columns)


def one(engine: Engine, step: int, **values: float) -> list[AlertChange]:
    names = [name.replace("__", "/") for name in values]
    return engine.observe("run", np.array([step]), names, np.array([[value] for value in values.values()]))


def seen_windows(windows: list[tuple[int, list[str]]]) -> Rule:
    """A rule that only notes what it is shown: the step, and the series of the row."""

    def judge(window: Window) -> list[Verdict]:
        windows.append((window.step, [window.names[i] for i in np.flatnonzero(window.fresh)]))
        return []

    return Rule("notes", judge)


# -- rows to steps ----------------------------------------------------------------------------------------------------


def test_a_step_is_judged_as_soon_as_its_total_is_there() -> None:
    windows: list[tuple[int, list[str]]] = []
    engine = new_engine(seen_windows(windows))
    one(engine, 0, lr=1.0)
    assert windows == []
    one(engine, 0, loss__total=2.0)
    assert windows == [(0, ["lr", "loss/total"])]


def test_what_comes_after_the_total_is_judged_by_itself() -> None:
    windows: list[tuple[int, list[str]]] = []
    engine = new_engine(seen_windows(windows))
    one(engine, 0, loss__total=2.0)
    one(engine, 0, grad_norm__total=1.0)
    assert windows == [(0, ["loss/total"]), (0, ["grad_norm/total"])]


def test_a_step_without_a_total_is_judged_when_the_next_one_begins_or_by_flush() -> None:
    windows: list[tuple[int, list[str]]] = []
    engine = new_engine(seen_windows(windows))
    one(engine, 0, a=1.0)
    one(engine, 0, b=1.0)
    one(engine, 1, a=1.0)
    assert windows == [(0, ["a", "b"])]
    engine.flush("run")
    engine.flush("run")
    assert windows == [(0, ["a", "b"]), (1, ["a"])]


def test_a_late_value_of_a_passed_step_does_not_disturb_the_step_that_waits() -> None:
    windows: list[tuple[int, list[str]]] = []
    engine = new_engine(seen_windows(windows))
    one(engine, 5, a=1.0)
    one(engine, 3, val__acc=0.5)
    one(engine, 5, loss__total=2.0)
    assert windows == [(3, ["val/acc"]), (5, ["a", "loss/total"])]


def test_a_run_that_was_rewound_goes_on_from_there() -> None:
    trace = report()
    engine = new_engine()
    engine.declare("run", report_declaration())
    assert see(engine, trace, 0, 280) == []
    assert see(engine, trace, 200, 290) == []
    assert {rule for _, rule, _ in said(see(engine, trace, 290, 310))} == {"loss_jump", "contribution_dominates"}


def test_nan_in_the_last_step_is_not_lost_when_no_total_follows() -> None:
    engine = new_engine()
    assert one(engine, 0, grad_norm__total=np.nan) == []
    assert said(engine.flush("run")) == [("fired", "nonfinite", 0)]


def test_runs_do_not_know_of_each_other() -> None:
    engine = new_engine(nonfinite.rule())
    trace = {"loss/total": np.array([np.nan])}
    first, second = see(engine, trace, 0, 1, "a"), see(engine, trace, 0, 1, "b")
    assert [change.alert.run for change in first + second] == ["a", "b"]
    engine.forget("a")
    assert engine.open_alerts("a") == []
    assert len(engine.open_alerts("b")) == 1


# -- alerts -----------------------------------------------------------------------------------------------------------


def test_an_alert_has_the_shape_of_the_protocol_and_survives_json() -> None:
    keys = {"id", "run", "rule", "series", "component", "severity", "state", "step", "last_step", "fired_s"}
    keys |= {"resolved_step", "message", "evidence", "blame", "remedy"}
    trace = report() | {"loss/spectrum": np.full(400, np.inf)}
    for change in judged(trace, report_declaration()):
        written = change.alert.to_dict()
        assert set(written) == keys
        assert json.loads(dumps(written))["id"] == change.alert.id
        assert Alert.from_dict(written) == change.alert
        if written["blame"] is not None:
            assert sum(part["percent"] for part in written["blame"]["parts"]) == 100


def test_an_alert_keeps_its_id_from_firing_to_its_end() -> None:
    trace = {"loss/total": np.append(noisy(2.0, 50), [np.nan, *noisy(2.0, 30)])}
    fired, resolved = judged(trace)
    assert (fired.transition, resolved.transition) == ("fired", "resolved")
    assert fired.alert.id == resolved.alert.id
    assert (resolved.alert.state, resolved.alert.last_step, resolved.alert.resolved_step) == ("resolved", 50, 70)


def test_a_fault_that_comes_and_goes_is_one_alert_opened_again_and_no_storm() -> None:
    values = noisy(2.0, 600)
    values[100:600:30] = np.nan
    changes = judged({"loss/total": values})
    assert len({change.alert.id for change in changes}) == 1
    assert {change.transition for change in changes} == {"fired", "reopened", "resolved"}


def test_an_acknowledged_alert_stays_open_until_it_is_over() -> None:
    engine = new_engine(nonfinite.rule())
    (fired,) = see(engine, {"loss/total": np.array([np.nan])}, 0, 1)
    change = engine.acknowledge("run", fired.alert.id)
    assert (change.transition, change.alert.state) == ("acknowledged", "acknowledged")
    assert [alert.state for alert in engine.open_alerts("run")] == ["acknowledged"]
    (resolved,) = see(engine, {"loss/total": noisy(2.0, 30)}, 1, 30)
    assert resolved.alert.state == "resolved"


def test_what_cannot_be_acknowledged_is_refused() -> None:
    engine = new_engine(nonfinite.rule())
    with pytest.raises(UnknownAlert):
        engine.acknowledge("run", "nobody")
    (fired,) = see(engine, {"loss/total": np.array([np.nan])}, 0, 1)
    engine.acknowledge("run", fired.alert.id)
    with pytest.raises(IllegalTransition):
        engine.acknowledge("run", fired.alert.id)


def test_an_open_alert_knows_its_last_step() -> None:
    engine = new_engine()
    engine.declare("run", report_declaration())
    see(engine, report(), 0, 390)
    dominates = next(alert for alert in engine.open_alerts("run") if alert.rule == "contribution_dominates")
    assert (dominates.step, dominates.last_step) == (300, 389)


# -- restarts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [250, 299, 320])
def test_a_restarted_server_goes_on_where_it_was(cut: int) -> None:
    trace = report(500)
    trace["weight/precursor"] = np.where(np.arange(500) >= 350, 1.6e-5, trace["weight/precursor"])
    trace["loss/total"] = trace["loss/ce"] + trace["weight/precursor"] * trace["loss/precursor"]
    before = new_engine()
    before.declare("run", report_declaration())
    changes = see(before, trace, 0, cut)
    after = new_engine()
    after.declare("run", report_declaration())
    columns = np.array([column[:cut] for column in trace.values()])
    after.warm("run", np.arange(cut, dtype=np.int64), list(trace), columns)
    after.restore("run", before.open_alerts("run"))
    assert after.open_alerts("run") == before.open_alerts("run")
    assert said(changes + see(after, trace, cut, 500)) == said(judged(trace, report_declaration()))


def test_warming_up_tells_nobody_anything() -> None:
    engine = new_engine()
    trace = {"loss/total": np.full(50, np.nan)}
    engine.warm("run", np.arange(50), list(trace), np.array(list(trace.values())))
    assert engine.open_alerts("run") == []


def test_an_alert_that_is_over_is_not_restored() -> None:
    engine = new_engine(nonfinite.rule())
    (fired,) = see(engine, {"loss/total": np.array([np.nan])}, 0, 1)
    after = new_engine(nonfinite.rule())
    after.restore("run", [replace(fired.alert, state="resolved")])
    assert after.open_alerts("run") == []


# -- broken rules -----------------------------------------------------------------------------------------------------


def breaks(window: Window) -> list[Verdict]:
    raise ZeroDivisionError("no spread")


def test_a_rule_that_raises_is_reported_once_and_the_others_go_on() -> None:
    changes = judged(report(), report_declaration(), Rule("broken", breaks), *default_rules())
    health = [change.alert for change in changes if change.alert.rule == RULE_HEALTH]
    (alert,) = health
    assert (alert.series, alert.severity, alert.step) == ("broken", "warning", 0)
    assert "ZeroDivisionError: no spread" in alert.message
    assert {change.alert.rule for change in changes} == {RULE_HEALTH, "loss_jump", "contribution_dominates"}


def test_a_rule_that_cannot_explain_itself_is_reported_and_leaves_nothing_half_done() -> None:
    def explain() -> Finding:
        raise KeyError("evidence")

    def judge(window: Window) -> list[Verdict]:
        return [Verdict("loss/total", Severity.WARNING, AT_ONCE, explain)]

    engine = new_engine(Rule("mute", judge))
    changes = see(engine, {"loss/total": noisy(2.0, 50)}, 0, 50)
    assert [change.alert.rule for change in changes] == [RULE_HEALTH]
    assert [alert.rule for alert in engine.open_alerts("run")] == [RULE_HEALTH]


def test_a_rule_that_breaks_has_not_said_that_its_alert_is_over() -> None:
    works = loss_jump.rule()

    def judge(window: Window) -> list[Verdict]:
        if window.step > 310:
            raise ValueError("late")
        return works.judge(window)

    changes = judged(report(600), report_declaration(), Rule("loss_jump", judge))
    assert said(changes) == [("fired", "loss_jump", 301), ("fired", RULE_HEALTH, 311)]
