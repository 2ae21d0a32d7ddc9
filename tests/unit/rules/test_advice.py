"""Commands made from what a window knows."""

from dataclasses import replace

from lossguard.protocol.messages import ControlsSpec, Declaration
from lossguard_server.rules import advice
from lossguard_server.rules.remedy import Remedy
from unit.rules.rule_world import report, report_declaration, window_at

PRECURSOR = 1


def test_the_weight_is_worked_out_from_what_the_others_hold() -> None:
    remedy = advice.lower_weight(window_at(report(), 300, report_declaration()), PRECURSOR)
    assert remedy is not None
    assert remedy.kind == "set_weight"
    assert remedy.args["component"] == "precursor"
    assert 1.4e-5 <= remedy.args["value"] <= 1.8e-5


def test_what_an_open_alert_advises_is_repeated_and_not_worked_out_anew() -> None:
    earlier = Remedy("set_weight", {"component": "precursor", "value": 9e-9}, "earlier")
    window = replace(window_at(report(), 300, report_declaration()), remedies={"precursor": earlier})
    assert advice.lower_weight(window, PRECURSOR) is earlier
    assert advice.set_back(window, "precursor", 0.0) is earlier


def test_a_weight_is_never_raised_as_a_remedy() -> None:
    window = window_at(report(), 300, report_declaration())
    assert advice.lower_weight(window, PRECURSOR, target_share=0.99) is None


def test_a_weight_of_minus_one_sign_keeps_it() -> None:
    trace = report()
    trace["weight/precursor"] = -trace["weight/precursor"]
    trace["loss/total"] = trace["loss/ce"] + trace["weight/precursor"] * trace["loss/precursor"]
    remedy = advice.lower_weight(window_at(trace, 300), PRECURSOR)
    assert remedy is not None
    assert remedy.args["value"] < 0


def test_set_back_respects_bounds_and_kinds() -> None:
    window = window_at(report(), 300, report_declaration(low=0.001))
    assert advice.set_back(window, "precursor", 0.0) is None
    assert advice.set_back(window, "precursor", 0.05) is not None
    shut = Declaration(seq=1, controls=ControlsSpec(kinds=["pause"]))
    assert advice.set_back(window_at(report(), 300, shut), "precursor", 0.05) is None
