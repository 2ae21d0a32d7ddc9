"""contribution_dominates: an auxiliary component that takes over fires within three steps; balanced runs are quiet."""

import numpy as np
import pytest

from lossguard.protocol.messages import ControlsSpec, Declaration, RampSpec, StageSpec
from lossguard_server.rules import contribution_dominates
from unit.rules.rule_world import declared, judged, new_engine, noisy, report, report_declaration, said, summed

RULE = contribution_dominates.rule()


def test_the_report_fires_within_three_steps_of_the_stage() -> None:
    (change,) = judged(report(), report_declaration(), RULE)
    alert = change.alert
    assert (alert.rule, alert.series, alert.component) == (
        "contribution_dominates",
        "contribution/precursor",
        "precursor",
    )
    assert (alert.step, alert.last_step, alert.severity) == (300, 302, "critical")


def test_the_report_is_told_with_its_numbers() -> None:
    n = 400
    losses = {"ce": np.full(n, 2.2), "precursor": np.full(n, 700.0)}
    trace = summed({"ce": 1.0, "precursor": np.where(np.arange(n) < 300, 0.0, 0.01)}, losses)
    alert = judged(trace, report_declaration(), RULE)[0].alert
    assert alert.remedy is not None
    assert alert.remedy["args"] == {"component": "precursor", "value": 1.6e-05}
    for number in ("adds 7,", "76 %", "raw value 700", "weight 0.01", "At weight 1.6e-05 it would add 0.011"):
        assert number in alert.message
    assert alert.evidence["share"] == pytest.approx(7.0 / 9.2)
    assert len(alert.evidence["values"]) == 64


def test_it_needs_no_warm_up() -> None:
    (change,) = judged(report(30, 10), report_declaration(10), RULE)
    assert (change.alert.step, change.alert.severity) == (10, "critical")


def test_a_run_that_begins_so_is_warned() -> None:
    (change,) = judged(report(50, 0), report_declaration(0), RULE)
    assert (change.alert.last_step, change.alert.severity) == (2, "warning")


def test_a_spike_of_two_steps_is_silent() -> None:
    trace = report()
    short = (np.arange(400) >= 300) & (np.arange(400) < 302)
    trace["weight/precursor"] = np.where(short, 0.01, 0.0)
    trace["loss/total"] = trace["loss/ce"] + trace["weight/precursor"] * trace["loss/precursor"]
    assert judged(trace, report_declaration(), RULE) == []


def test_it_fires_on_a_ramp_before_the_ramp_ends() -> None:
    n, start = 1200, 300
    weight = 0.01 * np.clip((np.arange(n) - start) / 500, 0.0, 1.0)
    trace = summed({"ce": 1.0, "precursor": weight}, {"ce": noisy(2.2, n), "precursor": noisy(700.0, n, 0.03, 1)})
    ramp = RampSpec(0.0, 0.01, 500)
    stages = [StageSpec("a", 0, {"ce": 1.0}), StageSpec("b", start, {"ce": 1.0, "precursor": ramp})]
    changes = judged(trace, Declaration(seq=1, components=["ce", "precursor"], stages=stages), RULE)
    assert start < changes[0].alert.step < start + 500
    assert changes[0].alert.severity == "critical"


def test_the_remedy_ends_it() -> None:
    n = 600
    trace = report(n)
    trace["weight/precursor"] = np.where(np.arange(n) >= 350, 1.6e-5, trace["weight/precursor"])
    trace["loss/total"] = trace["loss/ce"] + trace["weight/precursor"] * trace["loss/precursor"]
    changes = judged(trace, report_declaration(), RULE)
    assert said(changes) == [("fired", RULE.name, 302), ("resolved", RULE.name, 349)]
    assert changes[-1].alert.resolved_step == 369


def test_it_stays_open_as_long_as_the_share_is_large() -> None:
    assert said(judged(report(3000), report_declaration(), RULE)) == [("fired", RULE.name, 302)]


def test_a_single_loss_is_silent() -> None:
    n = 300
    loss = noisy(2.0, n) * np.where(np.arange(n) < 200, 1.0, 100.0)
    assert judged(summed({"loss": 1.0}, {"loss": loss}), declared(loss=1.0), RULE) == []


def test_equal_weights_have_no_auxiliary_component() -> None:
    n = 500
    losses = {"d": noisy(0.3, n, 0.3), "g": noisy(0.6, n, 0.5, 1), "cycle": noisy(3.0, n, 0.3, 2)}
    trace = summed(dict.fromkeys(losses, 1.0), losses)
    assert judged(trace, declared(d=1.0, g=1.0, cycle=1.0), RULE) == []


def test_a_leading_loss_that_fades_below_an_auxiliary_one_is_silent() -> None:
    n = 3000
    policy = noisy(1.0, n) * np.exp(-np.arange(n) / 400)
    trace = summed({"policy": 1.0, "entropy": 0.05}, {"policy": policy, "entropy": noisy(1.4, n, 0.05, 1)})
    assert judged(trace, declared(policy=1.0, entropy=0.05), RULE) == []


def test_what_the_total_holds_beside_the_components_counts_as_others() -> None:
    n = 100
    trace = report(n, 50)
    trace["loss/total"] = trace["loss/total"] + 20.0
    assert judged(trace, report_declaration(50), RULE) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_component_that_is_not_finite_is_left_to_the_other_rule(bad: float) -> None:
    trace = report(400)
    trace["loss/precursor"][300:] = bad
    assert judged(trace, report_declaration(), RULE) == []


def test_the_bounds_of_the_script_hold_for_the_remedy() -> None:
    alert = judged(report(), report_declaration(low=0.001), RULE)[0].alert
    assert alert.remedy is not None
    assert alert.remedy["args"]["value"] == 0.001
    assert "bound" in alert.remedy["text"]


def test_a_script_that_allows_no_weights_gets_no_command() -> None:
    stages = report_declaration().stages
    declaration = Declaration(
        seq=1, components=["ce", "precursor"], stages=stages, controls=ControlsSpec(kinds=["pause"])
    )
    assert judged(report(), declaration, RULE)[0].alert.remedy is None


def test_all_alerts_of_one_cause_carry_one_component_and_one_remedy() -> None:
    n = 400
    norm = noisy(0.5, n, 0.3, 3) * np.where(np.arange(n) < 300, 1.0, 15.0)
    engine = new_engine()
    engine.declare("run", report_declaration())
    trace = report() | {"grad_norm/total": norm}
    steps = np.arange(310, dtype=np.int64)
    engine.observe("run", steps, list(trace), np.array(list(trace.values()))[:, :310])
    alerts = engine.open_alerts("run")
    assert {alert.rule for alert in alerts} == {"contribution_dominates", "loss_jump", "grad_norm_high"}
    assert {alert.component for alert in alerts} == {"precursor"}
    assert len({repr(alert.remedy) for alert in alerts}) == 1
