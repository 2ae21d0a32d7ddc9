"""contribution_dominates: an auxiliary component that takes over fires within three steps; balanced runs are quiet."""

import msgspec
import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec, ControlsSpec, Declaration, RampSpec, StageSpec
from lossguard_server.rules import contribution_dominates, grad_norm_high
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import (
    Trace,
    declared,
    judged,
    new_engine,
    noisy,
    report,
    report_declaration,
    rows_of,
    said,
    summed,
)

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
    norm = noisy(0.5, n, 0.3, 3) * np.where(np.arange(n) < 300, 1.0, 2000.0)
    engine = new_engine(RULE, grad_norm_high.rule())
    engine.declare("run", report_declaration())
    engine.observe("run", [rows_of(report() | {"grad_norm/total": norm}, 0, 310)])
    alerts = engine.open_alerts("run")
    assert {alert.rule for alert in alerts} == {"contribution_dominates", "grad_norm_high"}
    assert {alert.component for alert in alerts} == {"precursor"}
    assert len({repr(alert.remedy) for alert in alerts}) == 1


# -- the report's own numbers, and a stage that brings a component in -------------------------------------------------


def brought_in(ce: float, n: int = 400, start: int = 300) -> Trace:
    losses = {"ce": np.full(n, ce), "precursor": np.full(n, 700.0)}
    return summed({"ce": 1.0, "precursor": np.where(np.arange(n) < start, 0.0, 0.01)}, losses)


def test_a_component_that_its_stage_brings_in_as_all_of_the_total_fires_at_the_first_step() -> None:
    alert = judged(brought_in(0.1), report_declaration(), RULE)[0].alert
    assert (alert.step, alert.last_step, alert.severity) == (300, 300, "critical")
    assert alert.evidence["share"] == pytest.approx(0.986, abs=5e-4)


def test_the_same_without_a_declared_stage_takes_three_steps() -> None:
    assert judged(brought_in(0.1), declared(ce=1.0, precursor=0.01), RULE)[0].alert.last_step == 302


def test_the_words_hold_the_weights_of_the_report_and_the_slip() -> None:
    healthy = ContractSpec("loss/precursor", 0.5, 1.0)
    declaration = msgspec.structs.replace(report_declaration(), contracts=[healthy])
    text = judged(brought_in(2.2), declaration, RULE)[0].alert.evidence["text"]
    for words in ("1.4e-05 adds 0.01", "1.65e-04 holds 5 %", "0.005 / 0.995 * 2.2 / 700", "factor 10^3", "ppm"):
        assert words in text


# -- declared shares --------------------------------------------------------------------------------------------------


def shared(share: float, low: float = 0.005, high: float = 0.01, n: int = 6, weight: float = 0.1) -> list[str]:
    part = share / (1 - share) / weight
    trace = summed({"ce": 1.0, "aux": weight}, {"ce": np.ones(n), "aux": np.full(n, part)})
    contract = ContractSpec("share/aux", low, high, "range")
    changes = judged(trace, declared(contract, ce=1.0, aux=weight), RULE)
    return [f"{c.transition} {c.alert.severity} {c.alert.step} {c.alert.last_step}" for c in changes]


def test_a_declared_share_is_judged_from_the_first_step_on() -> None:
    assert shared(0.0075) == []
    assert shared(0.05) == ["fired critical 0 2"]
    assert shared(0.0001) == ["fired warning 0 2"]
    assert shared(0.05, n=2) == []


def test_a_declared_share_replaces_the_rule_for_auxiliary_components() -> None:
    assert shared(0.9, low=0.0, high=1.0, n=40) == []


def test_the_remedy_of_a_declared_share_aims_at_its_middle() -> None:
    trace = summed({"ce": 1.0, "aux": 0.1}, {"ce": np.ones(6), "aux": np.ones(6)})
    contract = ContractSpec("share/aux", 0.005, 0.015, "range")
    alert = judged(trace, declared(contract, ce=1.0, aux=0.1), RULE)[0].alert
    assert alert.remedy is not None
    assert alert.remedy["args"]["value"] == 0.01
    assert "declared is [0.005, 0.015]" in alert.message


def test_a_share_below_what_is_declared_waits_for_the_ramp() -> None:
    n = 200
    weight = 0.1 * np.clip(np.arange(n) / 150, 0.0, 1.0)
    trace = summed({"ce": 1.0, "aux": weight}, {"ce": np.ones(n), "aux": np.full(n, 0.01)})
    contract = ContractSpec("share/aux", 0.005, 0.5, "range")
    (change,) = judged(trace, declared(contract, ce=1.0, aux=RampSpec(0.0, 0.1, 150)), RULE)
    assert (change.alert.step, change.alert.severity) == (149, "warning")
    none = summed({"ce": 1.0, "aux": np.zeros(n)}, {"ce": np.ones(n), "aux": np.ones(n)})
    assert judged(none, declared(contract, ce=1.0), RULE) == [], "its stage has not come yet"


# -- against what is usual --------------------------------------------------------------------------------------------


def three(n: int = 600, at: int = 400, factor: float = 1.0, fade: float = 1.0) -> Trace:
    """Equal weights; at a step `b` grows by `factor`, and `a` and `c` by `fade`."""
    after = np.arange(n) >= at
    losses = {
        "a": noisy(2.0, n, 0.1) * np.where(after, fade, 1.0),
        "b": noisy(0.1, n, 0.1, 1) * np.where(after, factor, 1.0),
        "c": noisy(1.0, n, 0.1, 2) * np.where(after, fade, 1.0),
    }
    return summed(dict.fromkeys(losses, 1.0), losses)


EQUAL = declared(a=1.0, b=1.0, c=1.0)


def test_a_small_component_of_equal_weight_that_swells_is_critical_after_five_steps() -> None:
    (change, *_) = judged(three(factor=100.0), EQUAL, RULE)
    assert (change.alert.series, change.alert.severity) == ("contribution/b", "critical")
    assert (change.alert.step, change.alert.last_step) == (400, 404)
    assert change.alert.remedy is not None
    assert "is usual" in change.alert.message


def test_shares_that_shift_because_the_others_vanish_are_a_warning() -> None:
    (change, *_) = judged(three(fade=0.001), EQUAL, RULE)
    assert (change.alert.series, change.alert.severity, change.alert.last_step) == ("contribution/b", "warning", 404)
    assert change.alert.evidence["variation"] > 0.6


def test_shares_that_shift_slowly_or_with_their_weights_are_silent() -> None:
    slow = three()
    slow["loss/b"] = slow["loss/b"] * np.exp(np.clip(np.arange(600) / 150, 0, 4))
    slow["loss/total"] = slow["loss/a"] + slow["loss/b"] + slow["loss/c"]
    assert judged(slow, EQUAL, RULE) == []
    planned = three()
    planned["weight/b"] = np.where(np.arange(600) < 400, 1.0, 100.0)
    planned["loss/total"] = planned["loss/a"] + planned["weight/b"] * planned["loss/b"] + planned["loss/c"]
    stages = [StageSpec("x", 0, {"a": 1.0, "b": 1.0, "c": 1.0}), StageSpec("y", 400, {"a": 1.0, "b": 100.0, "c": 1.0})]
    assert judged(planned, Declaration(seq=1, components=["a", "b", "c"], stages=stages), RULE) == []


def test_rows_in_which_a_component_is_not_evaluated_are_not_compared_with_what_is_usual() -> None:
    engine, trace = new_engine(RULE), three()
    engine.declare("run", EQUAL)
    assert engine.observe("run", [rows_of(trace, 0, 400)]) == []
    del trace["loss/a"]
    trace["loss/total"] = trace["loss/b"] + trace["loss/c"]
    assert engine.observe("run", [rows_of(trace, 400, 500)]) == []


def test_one_of_equal_weights_that_is_all_there_is_warns_at_the_start() -> None:
    """As pinn03 of the shared curves: 1.5e26 beside 3.6e18."""
    losses = {"a": noisy(1.5e26, 40), "b": noisy(3.6e18, 40), "c": noisy(5e13, 40)}
    (change,) = judged(summed(dict.fromkeys(losses, 0.25), losses), declared(a=0.25, b=0.25, c=0.25), RULE)
    assert (change.alert.step, change.alert.last_step, change.alert.severity) == (0, 2, "warning")
    losses = {"a": noisy(900.0, 40), "b": noisy(1.0, 40), "c": noisy(0.1, 40)}
    assert judged(summed(dict.fromkeys(losses, 0.25), losses), declared(a=0.25, b=0.25, c=0.25), RULE) == []


def test_losses_that_take_turns_are_silent() -> None:
    """Every other row carries the generator's losses, or the discriminator's."""
    engine = new_engine(RULE)
    engine.declare("run", declared(d=1.0, g=1.0, reg=0.5))
    for step in range(400):
        names = ("loss/d", "loss/total") if step % 2 else ("loss/g", "loss/reg", "loss/total")
        values = [[0.5], [0.5]] if step % 2 else [[1.0], [0.4], [1.2]]
        assert engine.observe("run", [Rows(np.array([step]), names, np.array(values))]) == []


@pytest.mark.parametrize("cut", [1, 7])
@pytest.mark.parametrize("kind", ["report", "swelled", "vanished", "declared"])
def test_it_does_not_matter_how_the_rows_are_cut(kind: str, cut: int) -> None:
    contract = ContractSpec("share/b", 0.0, 0.02, "range")
    trace, declaration = {
        "report": (report(), report_declaration()),
        "swelled": (three(factor=100.0), EQUAL),
        "vanished": (three(fade=0.001), EQUAL),
        "declared": (three(), declared(contract, a=1.0, b=1.0, c=1.0)),
    }[kind]
    changes = judged(trace, declaration, RULE, cut=64)
    assert changes != []
    assert repr(judged(trace, declaration, RULE, cut=cut)) == repr(changes)
