"""R2: what the next stage will do is said while it can be changed; a stage that is well planned is not mentioned."""

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec, ControlsSpec, Declaration, RampSpec
from lossguard_server.rules import look_ahead
from lossguard_server.rules.alert import AlertChange
from lossguard_server.services.engine import Engine
from unit.rules.rule_world import Trace, new_engine, noisy, rows_of
from unit.rules.stage_world import curriculum, fired, same_for_every_cut, told, trained

RULE = look_ahead.rule()
CE, SERIES = {"ce": 1.0}, "contribution/precursor"


def of_the_report(n: int, raw: float = 700.0, seed: int = 0) -> Trace:
    return {"ce": noisy(2.2, n, 0.05, seed), "precursor": noisy(raw, n, 0.05, seed + 1)}


def changes_of(declaration: Declaration, losses: Trace) -> list[AlertChange]:
    return told(trained(declaration, losses), declaration, RULE)


@pytest.mark.parametrize("seed", range(5))
def test_the_stage_of_the_report_is_paged_by_step_150_with_its_numbers(seed: int) -> None:
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01}, every=10_000)
    (change,) = same_for_every_cut(trained(declaration, of_the_report(300, seed=seed)), declaration, RULE)
    alert, evidence = change.alert, change.alert.evidence
    assert (alert.series, alert.severity, alert.component) == (SERIES, "critical", "precursor")
    assert alert.last_step <= 150
    assert evidence["steps_until"] >= 9_850
    assert evidence["jump"] == pytest.approx(4.2, rel=0.1)
    assert evidence["jump_low"] < evidence["jump"] < evidence["jump_high"]
    assert evidence["shares"]["precursor"] == pytest.approx(0.76, abs=0.03)
    assert evidence["ramp_steps"] == pytest.approx(73, abs=5)
    assert alert.remedy is not None
    assert alert.remedy["args"] == {"component": "precursor", "value": pytest.approx(1.6e-5, rel=0.15)}
    assert "holds from now on" in alert.remedy["text"]
    assert alert.message.startswith("Stage 'stage 2' begins at step 10000. The total is then")


def test_it_stays_open_until_the_stage_begins_and_speaks_once() -> None:
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01})
    changes = same_for_every_cut(trained(declaration, of_the_report(1_100)), declaration, RULE)
    assert fired(changes) == [("fired", SERIES, "critical"), ("resolved", SERIES, "critical")]
    assert changes[1].alert.last_step == 999


def test_every_stage_that_leaps_has_an_alert_of_its_own() -> None:
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01}, {"ce": 1.0, "precursor": 0.05})
    changes = same_for_every_cut(trained(declaration, of_the_report(1_400)), declaration, RULE)
    assert fired(changes) == [
        ("fired", SERIES, "critical"),
        ("resolved", SERIES, "critical"),
        ("fired", SERIES, "critical"),
    ]
    assert changes[0].alert.id != changes[2].alert.id
    assert changes[2].alert.evidence["stage"] == "stage 3"
    assert changes[2].alert.remedy is not None
    assert changes[2].alert.remedy["args"]["value"] == 0.01  # it is no new component: keep its weight


@pytest.mark.parametrize(
    ("raw", "expected"), [(20.0, []), (140.0, [("fired", SERIES, "warning")]), (700.0, [("fired", SERIES, "critical")])]
)
def test_how_much_it_adds_decides(raw: float, expected: list[tuple[str, str, str]]) -> None:
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01}, every=10_000)
    assert fired(changes_of(declaration, of_the_report(400, raw))) == expected


def test_a_component_that_will_do_nothing_is_shown() -> None:
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 1e-9}, every=10_000)
    (change,) = changes_of(declaration, of_the_report(400))
    assert (change.alert.series, change.alert.severity) == (SERIES, "warning")
    assert change.alert.remedy is None


@pytest.mark.parametrize(("high", "expected"), [(0.005, "critical"), (0.03, "warning")])
def test_a_declared_share_is_what_counts(high: float, expected: str) -> None:
    contract = ContractSpec("share/precursor", 0.0, high)
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01}, every=10_000, contracts=[contract])
    (change,) = changes_of(declaration, of_the_report(400, raw=12.0))  # 5 % of the total
    assert change.alert.severity == expected


def test_a_declared_contribution_is_what_counts_too() -> None:
    contract = ContractSpec("contribution/precursor", 0.0, 0.02)
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01}, every=10_000, contracts=[contract])
    (change,) = changes_of(declaration, of_the_report(400, raw=12.0))
    assert change.alert.severity == "critical"


# -- quiet ------------------------------------------------------------------------------------------------------------


def test_a_hand_over_to_another_leading_loss_of_the_same_size_is_quiet() -> None:
    declaration = curriculum({"reconstruction": 1.0}, {"adversarial": 1.0})
    losses = {"reconstruction": noisy(0.7, 900, 0.1), "adversarial": noisy(0.9, 900, 0.1, 1)}
    assert changes_of(declaration, losses) == []


def test_a_weight_that_the_present_stage_ramps_up_is_no_jump() -> None:
    ramp = RampSpec(0.0, 0.01, 900)
    declaration = curriculum({"ce": 1.0, "precursor": ramp}, {"ce": 1.0, "precursor": 0.01})
    assert changes_of(declaration, of_the_report(1_000)) == []


def test_a_long_ramp_of_the_next_stage_only_warns() -> None:
    """The total grows 1.3 times of two components that lead; no share is limited, and the ramp is long enough."""
    declaration = curriculum({"a": 1.0}, {"a": 1.0, "b": RampSpec(0.0, 1.0, 500)}, every=10_000)
    losses = {"a": noisy(1.0, 400, 0.05), "b": noisy(2.0, 400, 0.05, 1)}
    assert fired(changes_of(declaration, losses)) == [("fired", "contribution/b", "warning")]
    sudden = curriculum({"a": 1.0}, {"a": 1.0, "b": 1.0}, every=10_000)
    assert fired(changes_of(sudden, losses)) == [("fired", "contribution/b", "critical")]


def test_a_ramp_begins_at_the_weight_before_and_is_advised_only_where_the_plan_has_none_so_long() -> None:
    losses = {"a": noisy(1.0, 400, 0.02), "b": noisy(1.0, 400, 0.02, 1)}
    for planned, is_advised in ((500.0, True), (RampSpec(5.0, 500.0, 100), True), (RampSpec(5.0, 500.0, 1_000), False)):
        declaration = curriculum({"a": 1.0, "b": 5.0}, {"a": 1.0, "b": planned}, every=10_000)
        (change,) = changes_of(declaration, losses)
        text = change.alert.evidence["text"]
        assert ("A ramp of b from 5 to 500 over 22" in text) == is_advised
        assert ("lossguard.ramp(5.0, 500, 22" in text) == is_advised
        assert "lossguard.ramp(0.0" not in text


def test_a_total_that_rises_because_a_negative_term_goes_away_is_not_ramped_of_itself() -> None:
    losses = {"a": noisy(2.0, 400, 0.02), "b": noisy(1.5, 400, 0.02, 1)}
    for planned, severity in ((0.0, "critical"), (RampSpec(-1.0, 0.0, 500), "warning")):
        declaration = curriculum({"a": 1.0, "b": -1.0}, {"a": 1.0, "b": planned}, every=10_000)
        (change,) = changes_of(declaration, losses)
        assert change.alert.severity == severity


def test_a_raw_loss_that_still_falls_is_given_time() -> None:
    """It is 5 times too large at first, and harmless by the time of its stage: what it has learned is not known yet."""
    n = 900
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01}, every=10_000)
    falling = 1100.0 * np.exp(-np.arange(n) / 40.0) + 20.0
    assert changes_of(declaration, {"ce": noisy(2.2, n, 0.05), "precursor": noisy(falling, n, 0.05, 1)}) == []


def test_what_falls_is_believed_only_for_the_steps_that_are_left() -> None:
    """A fifth every 50 steps: harmless by step 150, three times the total by step 100."""
    n = 160
    losses = {"ce": noisy(2.2, n, 0.02), "precursor": noisy(6.0 * 5.0 ** ((150 - np.arange(n)) / 50), n, 0.02, 1)}
    in_time, too_soon = (curriculum(CE, {"ce": 1.0, "precursor": 0.1}, every=every) for every in (150, 100))
    assert changes_of(in_time, losses) == []
    assert fired(changes_of(too_soon, losses))[0] == ("fired", SERIES, "critical")


def test_a_short_stage_is_foretold_in_its_last_steps() -> None:
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01}, every=40)
    (change, *_) = same_for_every_cut(trained(declaration, of_the_report(60)), declaration, RULE)
    assert (change.alert.severity, change.alert.last_step) == ("critical", 38)


@pytest.mark.parametrize("raw", [0.0, -700.0, np.nan, np.inf])
def test_what_is_not_evaluated_signed_or_not_finite_foretells_nothing(raw: float) -> None:
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01}, every=10_000)
    losses = {"ce": noisy(2.2, 400, 0.05), "precursor": np.full(400, raw)}
    trace = trained(declaration, {**losses, "precursor": np.ones(400)})
    trace |= {"loss/total": losses["ce"], "loss/precursor": losses["precursor"]}
    assert told(trace, declaration, RULE) == []


def test_a_component_that_nobody_evaluates_foretells_nothing() -> None:
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01})
    assert changes_of(declaration, {"ce": noisy(2.2, 900, 0.05)}) == []


def test_a_total_that_holds_more_than_its_components_foretells_nothing() -> None:
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01}, every=10_000)
    trace = trained(declaration, of_the_report(400))
    assert told(trace | {"loss/total": trace["loss/total"] + 1.0}, declaration, RULE) == []


def test_a_weight_set_by_a_person_is_not_what_was_planned() -> None:
    """The remedy was pressed at step 200: the alert ends, and the stage that was foretold no longer comes."""
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01})
    trace = trained(declaration, of_the_report(1_000))
    trace["weight/precursor"][200:] = 1.6e-5
    trace["loss/total"] = trace["loss/ce"] + trace["weight/precursor"] * trace["loss/precursor"]
    changes = same_for_every_cut(trace, declaration, RULE)
    assert fired(changes) == [("fired", SERIES, "critical"), ("resolved", SERIES, "critical")]
    assert changes[1].alert.last_step == 199


def test_without_a_next_stage_there_is_nothing_to_foretell() -> None:
    assert changes_of(curriculum({"ce": 1.0, "precursor": 0.01}), of_the_report(400)) == []


def test_where_no_command_is_allowed_the_advice_is_words() -> None:
    stages = curriculum(CE, {"ce": 1.0, "precursor": 0.01}, every=10_000)
    declaration = Declaration(seq=1, components=stages.components, stages=stages.stages, controls=ControlsSpec())
    (change,) = changes_of(declaration, of_the_report(300))
    assert change.alert.remedy is None
    assert "ramp" in change.alert.evidence["text"]
    assert "Hold the run" in change.alert.evidence["text"]


def test_a_restart_of_the_server_changes_nothing() -> None:
    declaration = curriculum(CE, {"ce": 1.0, "precursor": 0.01}, every=10_000)
    trace = trained(declaration, of_the_report(200))

    def judged_to(engine: Engine, first: int, last: int) -> list[AlertChange]:
        return engine.observe("run", [rows_of(trace, first, last)])

    unbroken, before, after = new_engine(RULE), new_engine(RULE), new_engine(RULE)
    for engine in (unbroken, before, after):
        engine.declare("run", declaration)
    whole = judged_to(unbroken, 0, 70) + judged_to(unbroken, 70, 200)
    first = judged_to(before, 0, 70)
    after.load("run", before.dump("run"))
    assert repr(first + judged_to(after, 70, 200)) == repr(whole)
    assert whole


def test_a_leading_loss_that_will_leap_offers_to_hold_the_stage() -> None:
    """It cannot be weighed away, but its stage can wait."""
    declaration = curriculum(CE, {"ce": 5.0}, every=300)
    changes = changes_of(declaration, {"ce": noisy(2.2, 290, 0.05)})
    assert {change.alert.remedy["kind"] for change in changes if change.alert.remedy} == {"hold_stage"}
