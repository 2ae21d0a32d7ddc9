"""The engine: rows to steps, steps to alerts, alerts and persons, restarts, broken rules."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lossguard.protocol.numbers import dumps
from lossguard_server.errors import AlertOver, StateUnreadable
from lossguard_server.rules import default_rules, nonfinite
from lossguard_server.rules.alert import Alert, AlertChange
from lossguard_server.rules.base import AT_ONCE, Finding, Hits, Rule, Severity
from lossguard_server.rules.lifecycle import IllegalTransition
from lossguard_server.rules.window import Window
from lossguard_server.services.engine import RULE_HEALTH, Engine
from lossguard_server.services.engine.state import from_bytes, to_bytes
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import (
    Trace,
    judged,
    little_rule,
    new_engine,
    noisy,
    report,
    report_declaration,
    rows_of,
    said,
)


def see(engine: Engine, trace: Trace, start: int, stop: int, run: str = "run") -> list[AlertChange]:
    return engine.observe(run, [rows_of(trace, start, stop)])


def one(engine: Engine, step: int, **values: float) -> list[AlertChange]:
    names = tuple(name.replace("__", "/") for name in values)
    return engine.observe("run", [Rows(np.array([step]), names, np.array([[value] for value in values.values()]))])


def seen_windows(windows: list[tuple[int, list[str]]]) -> Rule:
    """A rule that only notes what it is shown: the step, and the series of the row."""

    def judge(window: Window) -> list[Hits]:
        for row, step in enumerate(window.steps.tolist()):
            windows.append((step, [window.names[i] for i in np.flatnonzero(window.fresh[row])]))
        return []

    return little_rule("notes", judge)


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
    foretold = [("fired", "look_ahead")]
    assert [change[:2] for change in said(see(engine, trace, 0, 280))] == foretold
    assert see(engine, trace, 200, 290) == []
    assert ("fired", "contribution_dominates") in [change[:2] for change in said(see(engine, trace, 290, 310))]


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
    keys |= {"resolved_step", "message", "evidence", "blame", "remedy", "incident"}
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
    with pytest.raises(AlertOver):
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


@pytest.mark.parametrize("cut", [1, 35, 250, 299, 320])
def test_a_restarted_server_finds_what_an_unbroken_one_would_have_found(cut: int) -> None:
    trace = report(500)
    trace["weight/precursor"] = np.where(np.arange(500) >= 350, 1.6e-5, trace["weight/precursor"])
    trace["loss/total"] = trace["loss/ce"] + trace["weight/precursor"] * trace["loss/precursor"]
    before, after = new_engine(), new_engine()
    before.declare("run", report_declaration())
    changes, news = see(before, trace, 0, cut), before.news("run")
    after.declare("run", report_declaration())
    after.load("run", before.dump("run"))
    assert after.open_alerts("run") == before.open_alerts("run")
    changes += see(after, trace, cut, 500) + after.flush("run")
    unbroken = new_engine()
    unbroken.declare("run", report_declaration())
    assert repr(changes) == repr(see(unbroken, trace, 0, 500) + unbroken.flush("run"))
    assert repr((news + after.news("run"))[-1]) == repr(unbroken.news("run")[-1])


def test_what_cannot_be_read_of_the_rules_memory_is_refused() -> None:
    engine = new_engine()
    see(engine, report(), 0, 50)
    body = engine.dump("run")
    for broken in (b"", body[:-5], bytes(100)):
        with pytest.raises(StateUnreadable):
            engine.load("run", broken)


def test_what_another_version_laid_out_otherwise_is_refused_and_changes_nothing() -> None:
    engine = new_engine()
    see(engine, report(), 0, 50)
    state = from_bytes(engine.dump("run"))
    del state["memory"]["last"]
    before = engine.dump("run")
    with pytest.raises(StateUnreadable, match="KeyError"):
        engine.load("run", to_bytes(state))
    assert engine.dump("run") == before


def test_warming_up_tells_nobody_anything() -> None:
    engine = new_engine()
    trace = {"loss/total": np.full(50, np.nan)}
    engine.warm("run", [rows_of(trace)])
    assert engine.open_alerts("run") == []


def test_an_alert_that_is_over_is_not_restored() -> None:
    engine = new_engine(nonfinite.rule())
    (fired,) = see(engine, {"loss/total": np.array([np.nan])}, 0, 1)
    after = new_engine(nonfinite.rule())
    after.restore("run", [replace(fired.alert, state="resolved")])
    assert after.open_alerts("run") == []


# -- broken rules -----------------------------------------------------------------------------------------------------


def breaks(window: Window) -> list[Hits]:
    raise ZeroDivisionError("no spread")


def test_a_rule_that_raises_is_reported_once_and_the_others_go_on() -> None:
    changes = judged(report(), report_declaration(), little_rule("broken", breaks), *default_rules())
    health = [change.alert for change in changes if change.alert.rule == RULE_HEALTH]
    (alert,) = health
    assert (alert.series, alert.severity, alert.step) == ("broken", "warning", 0)
    assert "ZeroDivisionError: no spread" in alert.message
    assert {change.alert.rule for change in changes} == {RULE_HEALTH, "look_ahead", "contribution_dominates"}


def test_a_rule_that_cannot_explain_itself_is_reported_and_its_finding_told() -> None:
    def explain(row: int) -> Finding:
        raise KeyError("evidence")

    def judge(window: Window) -> list[Hits]:
        return [Hits("loss/total", np.arange(len(window.steps)), Severity.WARNING, AT_ONCE, explain)]

    engine = new_engine(little_rule("mute", judge))
    changes = see(engine, {"loss/total": noisy(2.0, 50)}, 0, 50)
    assert [change.alert.rule for change in changes] == [RULE_HEALTH, "mute"]
    assert "could not say more" in changes[1].alert.message, "what it found is told all the same"


def test_a_rule_that_breaks_has_not_said_that_its_alert_is_over() -> None:
    works = nonfinite.rule()

    def judge(window: Window) -> list[Hits]:
        if window.steps[-1] >= 100:
            raise ValueError("late")
        return list(works.judge(window, works.parameters, {}))

    trace = {"loss/total": np.append(noisy(2.0, 99), [np.nan, *noisy(2.0, 100)])}
    changes = judged(trace, None, replace(little_rule("nonfinite", judge), one_per_run=True))
    assert said(changes) == [("fired", "nonfinite", 99), ("fired", RULE_HEALTH, 100)]


def test_rules_that_are_switched_off_are_over_and_the_others_go_on() -> None:
    engine = new_engine()
    engine.declare("run", report_declaration())
    see(engine, report(), 0, 320)
    opened = {alert.rule for alert in engine.open_alerts("run")}
    assert "contribution_dominates" in opened
    (change,) = engine.configure("run", [rule for rule in default_rules() if rule.name != "contribution_dominates"])
    assert (change.transition, change.alert.evidence["switched_off"]) == ("resolved", True)
    assert {alert.rule for alert in engine.open_alerts("run")} == opened - {"contribution_dominates"}
    assert "contribution_dominates" not in {rule for _, rule, _ in said(see(engine, report(), 320, 400))}


def test_an_alert_s_id_follows_from_what_came_and_from_nothing_else() -> None:
    first, second = (judged(report(), report_declaration()) for _ in range(2))
    assert [change.alert.id for change in first] == [change.alert.id for change in second]
    assert len({change.alert.id for change in first}) == len({(c.alert.rule, c.alert.series) for c in first})
