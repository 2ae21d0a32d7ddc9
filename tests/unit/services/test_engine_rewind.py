"""A run that was rolled back: what began on the older branch is over, and the rules know only what is still shown."""

from dataclasses import replace

import numpy as np
import pytest

from lossguard_server.errors import AlertOver
from lossguard_server.rules import loss_jump, nonfinite
from lossguard_server.rules.alert import AlertChange
from lossguard_server.rules.base import AT_ONCE, Finding, Hits, Rule, Severity
from lossguard_server.rules.window import Window
from lossguard_server.services.engine import RULE_HEALTH, Engine
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import Trace, little_rule, new_engine, noisy, report, report_declaration, rows_of, said


def see(engine: Engine, trace: Trace, start: int, stop: int) -> list[AlertChange]:
    return engine.observe("run", [rows_of(trace, start, stop)])


def back(engine: Engine, trace: Trace, from_step: int, to_step: int) -> list[AlertChange]:
    """The rollback, and what the judge then shows of the rows before it."""
    changes = engine.rewind("run", from_step, to_step)
    engine.warm("run", [rows_of(trace, 0, to_step)])
    return changes


def declared_engine(*rules: Rule) -> Engine:
    engine = new_engine(*rules)
    engine.declare("run", report_declaration())
    return engine


def test_what_began_at_or_after_the_step_is_resolved_with_a_reason() -> None:
    engine = declared_engine()
    fired = {change.alert.rule: change.alert for change in see(engine, report(), 0, 320)}
    assert set(fired) == {"look_ahead", "contribution_dominates"}
    (change,) = back(engine, report(), 320, 300)
    assert (change.transition, change.alert.rule, change.alert.step) == ("resolved", "contribution_dominates", 300)
    assert (change.alert.id, change.alert.resolved_step) == (fired[change.alert.rule].id, 320)
    assert change.alert.evidence["text"].endswith("The run was rolled back to step 300, before this began.")
    assert change.alert.evidence["rolled_back_to"] == 300
    assert engine.open_alerts("run") == []


def test_what_began_before_it_stays_open_and_ends_as_ever() -> None:
    trace = {"loss/total": noisy(2.0, 100)}
    trace["loss/total"][40:60] = np.nan
    engine = new_engine(nonfinite.rule())
    (fired,) = see(engine, trace, 0, 60)
    engine.acknowledge("run", fired.alert.id)
    assert back(engine, trace, 60, 50) == []
    assert [(alert.id, alert.state, alert.last_step) for alert in engine.open_alerts("run")] == [
        (fired.alert.id, "acknowledged", 49)
    ]
    mended = {"loss/total": noisy(2.0, 100)}
    assert [(change.transition, change.alert.id) for change in see(engine, mended, 50, 80)] == [
        ("resolved", fired.alert.id)
    ]


@pytest.mark.parametrize("to_step", [0, 10, 35, 100, 250, 299])
def test_going_back_and_on_in_health_says_what_is_foretold_and_no_more(to_step: int) -> None:
    engine, trace = declared_engine(), report()
    foretold = {"look_ahead"}
    assert {change.alert.rule for change in see(engine, trace, 0, 300)} == foretold
    assert {change.alert.rule for change in back(engine, trace, 300, to_step)} <= foretold
    other = report(seed=7)
    assert {change.alert.rule for change in see(engine, other, to_step, 300)} <= foretold
    changes = see(engine, other, 300, 320)
    assert "contribution_dominates" in {change.alert.rule for change in changes if change.transition == "fired"}
    assert all(change.alert.remedy for change in changes), "it is still declared what may be done"


def test_the_older_branch_is_forgotten() -> None:
    trace = {"loss/total": noisy(2.0, 400)}
    trace["loss/total"][200:300] *= 1.4  # a level of its own
    engine = new_engine(loss_jump.rule())
    assert see(engine, trace, 0, 300) == []
    back(engine, trace, 300, 200)
    jump = {"loss/total": noisy(2.0 * 1.7, 210)}
    assert [rule for _, rule, _ in said(see(engine, jump, 200, 210))] == ["loss_jump"], "1.7 times the level of before"


def test_the_same_fault_on_the_new_branch_is_a_new_alert() -> None:
    trace = {"loss/total": noisy(2.0, 60)}
    trace["loss/total"][50:] = np.nan
    engine = new_engine(nonfinite.rule())
    (first,) = see(engine, trace, 0, 55)
    back(engine, trace, 55, 45)
    (second,) = see(engine, trace, 45, 60)
    assert (second.transition, second.alert.step) == ("fired", 50)
    assert second.alert.id != first.alert.id


def test_an_alert_that_opened_again_on_the_older_branch_is_over() -> None:
    trace = {"loss/total": noisy(2.0, 100)}
    trace["loss/total"][[10, 60]] = np.nan
    engine = new_engine(nonfinite.rule())
    assert [transition for transition, _, _ in said(see(engine, trace, 0, 61))] == ["fired", "resolved", "reopened"]
    assert [change.transition for change in back(engine, trace, 61, 50)] == ["resolved"]


def test_what_waits_for_its_total_is_judged_before_the_run_goes_back() -> None:
    engine = new_engine(nonfinite.rule())
    engine.observe("run", [Rows(np.array([7]), ("loss/ce",), np.array([[np.nan]]))])
    changes = engine.rewind("run", 8, 5)
    assert [change.transition for change in changes] == ["fired", "resolved"]
    assert engine.rewind("run", 5, 5) == []


def test_hits_that_were_not_enough_yet_are_forgotten() -> None:
    engine = declared_engine()
    see(engine, report(), 0, 302)  # two of the three steps that contribution_dominates needs
    back(engine, report(), 302, 300)
    changes = see(engine, report(), 300, 302)
    assert "contribution_dominates" not in {change.alert.rule for change in changes}


def test_a_broken_rule_stays_told_on_any_branch() -> None:
    def breaks(window: Window) -> list[Hits]:
        raise ZeroDivisionError("no spread")

    engine = new_engine(little_rule("broken", breaks))
    see(engine, report(), 0, 10)
    assert back(engine, report(), 10, 0) == []
    assert see(engine, report(), 0, 10) == []
    assert [alert.rule for alert in engine.open_alerts("run")] == [RULE_HEALTH]


@pytest.mark.parametrize("to_step", [40, 250, 300, 310])
def test_a_restart_right_after_it_changes_nothing(to_step: int) -> None:
    trace, later = report(400), report(400, seed=9)
    engine = declared_engine()
    see(engine, trace, 0, 320)
    back(engine, trace, 320, to_step)
    restarted = declared_engine()
    restarted.load("run", engine.dump("run"))
    assert repr(see(restarted, later, to_step, 400)) == repr(see(engine, later, to_step, 400))


def test_an_alert_that_is_amended_keeps_what_was_added() -> None:
    def judge(window: Window) -> list[Hits]:
        rows = np.flatnonzero(window.steps < 5)
        return [Hits("loss/total", rows, Severity.WARNING, AT_ONCE, lambda row: Finding("m", "t"))]

    engine = new_engine(little_rule("some", judge))
    (fired,) = see(engine, {"loss/total": noisy(2.0, 5)}, 0, 5)
    [recent] = engine.recent_alerts("run", "some")
    assert (recent.id, recent.last_step, engine.recent_alerts("run", "other")) == (fired.alert.id, 4, [])
    amended = engine.amend("run", replace(recent, evidence={"text": "more", "values": []}))
    assert (amended.transition, amended.alert.evidence["text"]) == ("explained", "more")
    (resolved,) = see(engine, {"loss/total": noisy(2.0, 40)}, 5, 40)
    assert (resolved.transition, resolved.alert.evidence["text"]) == ("resolved", "more")
    assert [alert.state for alert in engine.recent_alerts("run", "some")] == ["resolved"], "it may be explained still"
    with pytest.raises(AlertOver):
        engine.amend("run", replace(recent, id="nobody"))
