"""Commands made from what a moment knows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lossguard.protocol import COMMAND_KINDS, magnitudes
from lossguard.protocol.messages import ControlsSpec, Declaration, StageSpec
from lossguard_server.rules import advice
from lossguard_server.rules.moment import Moment
from lossguard_server.rules.remedy import Remedy
from lossguard_server.rules.schedule import Schedule
from unit.rules.rule_world import moment_at, report, report_declaration, summed, window_at

PRECURSOR = 1
SHUT = Schedule(Declaration(seq=1))
OLDER = [kind for kind in COMMAND_KINDS if kind != "hold_stage"]  # of a trainer before wire 1.4
OPEN = Schedule(Declaration(seq=1, controls=ControlsSpec(OLDER, {"precursor": (0.0, 0.1)})))
RAMPS = Schedule(Declaration(seq=1, controls=ControlsSpec(list(COMMAND_KINDS), {"precursor": (0.0, 0.1)})))


def test_the_weight_is_worked_out_from_what_the_others_hold() -> None:
    remedy = advice.lower_weight(moment_at(report(), 300, report_declaration()), PRECURSOR)
    assert remedy is not None
    assert remedy.kind == "set_weight"
    assert remedy.args["component"] == "precursor"
    assert 1.4e-5 <= remedy.args["value"] <= 1.8e-5


def test_what_an_open_alert_advises_is_repeated_and_not_worked_out_anew() -> None:
    earlier = Remedy("set_weight", {"component": "precursor", "value": 9e-9}, "earlier")
    window = replace(window_at(report(), 300, report_declaration()), remedies={"precursor": earlier})
    assert advice.lower_weight(Moment(window, 0), PRECURSOR) is earlier
    assert advice.set_back(Moment(window, 0), "precursor", 0.0) is earlier


def test_a_weight_is_never_raised_as_a_remedy() -> None:
    assert advice.lower_weight(moment_at(report(), 300, report_declaration()), PRECURSOR, target_share=0.99) is None


def test_a_weight_of_minus_one_sign_keeps_it() -> None:
    trace = report()
    trace["weight/precursor"] = -trace["weight/precursor"]
    trace["loss/total"] = trace["loss/ce"] + trace["weight/precursor"] * trace["loss/precursor"]
    remedy = advice.lower_weight(moment_at(trace, 300), PRECURSOR)
    assert remedy is not None
    assert remedy.args["value"] < 0


def test_a_weight_that_is_only_planned_is_worked_out_from_what_is_expected() -> None:
    remedy = advice.to_share(OPEN, "precursor", 0.01, 700.0, 2.2)
    assert remedy == Remedy(
        "set_weight",
        {"component": "precursor", "value": 1.6e-05},
        "Set the weight of precursor from 0.01 to 1.6e-05: it would add 0.011.",
    )
    assert advice.to_share(SHUT, "precursor", 0.01, 700.0, 2.2) is None


def test_set_back_respects_bounds_and_kinds() -> None:
    moment = moment_at(report(), 300, report_declaration(low=0.001))
    assert advice.set_back(moment, "precursor", 0.0) is None
    assert advice.set_back(moment, "precursor", 0.05) is not None
    shut = Declaration(seq=1, controls=ControlsSpec(kinds=["pause"]))
    assert advice.set_back(moment_at(report(), 300, shut), "precursor", 0.05) is None


def test_a_ramp_as_words_is_a_line_for_the_curriculum() -> None:
    assert "lossguard.ramp(0.0, 0.01, 73)" in magnitudes.ramp_text("precursor", 0.0, 0.01, 4.2)
    assert "from 5 to 500 over 233 steps (lossguard.ramp(5.0, 500, 233))" in magnitudes.ramp_text("b", 5.0, 500.0, 100)
    assert magnitudes.ramp_text("precursor", 0.0, 0.01, 1.0) == ""


@pytest.mark.parametrize(("schedule", "kind"), [(RAMPS, "hold_stage"), (OPEN, "pause"), (SHUT, None)])
def test_a_hold_is_a_pause_where_no_stage_can_be_held(schedule: Schedule, kind: str | None) -> None:
    remedy = advice.hold(schedule, "the next one is not ready.")
    assert (remedy.kind if remedy else None) == kind


def test_a_rollback_names_the_step_before_which_all_was_well() -> None:
    remedy = advice.rollback(OPEN, "the loss is 1e24.", 300)
    assert remedy is not None
    assert (remedy.kind, remedy.args) == ("rollback", {"before_step": 300})
    assert "before step 300" in remedy.text
    newest = advice.rollback(OPEN, "the loss is 1e24.")
    assert newest is not None
    assert newest.args == {}
    pausing = Schedule(Declaration(seq=1, controls=ControlsSpec(["pause"])))
    instead = advice.rollback(pausing, "x")
    assert instead is not None
    assert instead.kind == "pause"
    assert advice.rollback(SHUT, "x") is None


# -- what one broken component does to the others ----------------------------------------------------------------------

LOSSES = {"covariance": 1e25, "angle": 300.0, "range": 5.0}
WEIGHTS = {"covariance": 1 / 144, "angle": 1.0, "range": 1.0}


def beside(losses: dict[str, float], kinds: Sequence[str] = COMMAND_KINDS, **weights: float) -> Remedy | None:
    """What is advised where a quantity is wrong and these are the losses."""
    trace = summed(WEIGHTS | weights, {name: np.array([value]) for name, value in losses.items()})
    declaration = Declaration(seq=1, components=list(losses), controls=ControlsSpec(list(kinds)))
    return advice.take_out(moment_at(trace, 0, declaration), "R is not what it is declared to be.")


@pytest.mark.parametrize("value", [1e25, -1e25, 1e12, np.nan, np.inf])
def test_the_one_component_that_is_absurd_or_broken_is_taken_out(value: float) -> None:
    assert beside(LOSSES | {"covariance": value}) == Remedy(
        "gate",
        {"component": "covariance", "open": False},
        "Take covariance out of the total until the code is mended, the others train on: "
        "R is not what it is declared to be.",
    )


@pytest.mark.parametrize(
    "losses",
    [
        LOSSES | {"covariance": 6_500.0},
        LOSSES | {"covariance": 4e10},  # 91 % of nothing unusual is not this, nor are 99.999 %
        LOSSES | {"covariance": np.nan, "angle": np.nan},
        LOSSES | {"covariance": np.inf, "angle": np.inf},
        {"covariance": 1e25},
        {"covariance": np.nan},
        {"covariance": 1e25, "angle": 0.0},
    ],
)
def test_where_none_stands_out_or_none_would_be_left_it_is_a_pause(losses: dict[str, float]) -> None:
    remedy = beside(losses)
    assert remedy is not None
    assert (remedy.kind, remedy.args) == ("pause", {})


@pytest.mark.parametrize(
    ("losses", "weights"),
    [
        ({"ce": 2.0, "aux": 0.5}, {"ce": 1.0, "aux": 2e-7}),
        ({"ce": 2.0, "aux": 1e-7}, {"ce": 1.0, "aux": 1.0}),  # converged, and equal weights have no auxiliary
        ({"ce": np.nan, "aux": 1e-3}, {"ce": 1.0, "aux": 1e-3}),
        ({"ce": 2.0, "aux": 0.5}, {"ce": np.nan, "aux": 1e-3}),
    ],
)
def test_what_the_run_is_about_is_never_taken_out(losses: dict[str, float], weights: dict[str, float]) -> None:
    remedy = beside(losses, **weights)
    assert remedy is not None
    assert (remedy.kind, remedy.args) == ("pause", {})


@pytest.mark.parametrize(("planned", "in_force"), [({"aux": 1e-3}, 1.0), ({"ce": 1.0, "aux": 0.1}, 0.01)])
def test_auxiliary_is_what_is_meant_to_be_and_is(planned: dict[str, float], in_force: float) -> None:
    losses = {"ce": np.array([np.nan]), "aux": np.array([0.5])}
    trace = summed({"ce": in_force, "aux": 0.1}, losses)
    declaration = Declaration(
        seq=1, components=list(losses), stages=[StageSpec("a", 0, planned)], controls=ControlsSpec(list(COMMAND_KINDS))
    )
    remedy = advice.take_out(moment_at(trace, 0, declaration), "x")
    assert remedy is not None
    assert remedy.kind == "pause"


def test_what_rounding_leaves_of_an_absurd_total_is_no_part_of_it() -> None:
    losses = {name: np.array([value]) for name, value in LOSSES.items()}
    trace = {name: value.astype(np.float32).astype(np.float64) for name, value in summed(WEIGHTS, losses).items()}
    assert abs(trace["loss/total"][0] - 1e25 / 144) > 1e12, "so much is float32's"
    remedy = advice.lower_weight(moment_at(trace, 0), 0)
    assert remedy is not None
    assert remedy.args["value"] * 1e25 == pytest.approx(0.005 / 0.995 * 305, rel=0.05)


def test_what_is_out_already_is_not_taken_out_again_and_what_is_not_allowed_not_offered() -> None:
    for value in (1e25, np.nan):
        out = beside(LOSSES | {"covariance": value}, covariance=0.0)
        assert out is not None
        assert out.kind == "pause"
    old = beside(LOSSES, [kind for kind in COMMAND_KINDS if kind != "gate"])
    assert old is not None
    assert old.kind == "pause"
    assert beside(LOSSES, []) is None
