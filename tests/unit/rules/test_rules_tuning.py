"""A person's changes reach the rule; what makes no sense is named with its bounds and the nearest name."""

import math
from typing import Any

import pytest

import tried_rules
from lossguard_server.errors import BadRules, ParameterOutOfBounds, UnknownParameter, UnknownRule
from lossguard_server.rules import default_rules
from lossguard_server.rules.tuning import checked, described, fitting, layered, nearest, shaped, tuned

RULES = (tried_rules.rule("above"), tried_rules.rule("beyond"))


def test_only_what_is_named_changes() -> None:
    above, beyond = tuned(RULES, {"above": {"parameters": {"limit": 7}}})
    assert (above.parameters.limit, above.parameters.need) == (7.0, 1)
    assert beyond is RULES[1]
    assert isinstance(above.parameters.limit, float)
    assert RULES[0].parameters.limit == 100.0


def test_a_rule_that_is_switched_off_is_gone_and_one_that_is_switched_on_stays() -> None:
    assert [rule.name for rule in tuned(RULES, {"above": {"enabled": False}, "beyond": {"enabled": True}})] == [
        "beyond"
    ]


def test_an_unknown_rule_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownRule) as refused:
        tuned(RULES, {"abvoe": {"enabled": False}})
    assert (refused.value.rule, refused.value.nearest) == ("abvoe", "above")
    assert str(refused.value) == "There is no rule 'abvoe'. Did you mean 'above'?"


def test_an_unknown_parameter_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UnknownParameter) as refused:
        tuned(RULES, {"above": {"parameters": {"zzz": 1}}})
    assert (refused.value.rule, refused.value.parameter, refused.value.nearest) == ("above", "zzz", None)
    assert refused.value.hint == "above has limit, need."


@pytest.mark.parametrize("value", [0.4, 1e7, math.nan, math.inf, "7", True, None])
def test_what_is_no_number_within_the_bounds_is_told_with_them(value: Any) -> None:
    with pytest.raises(ParameterOutOfBounds) as refused:
        tuned(RULES, {"above": {"parameters": {"limit": value}}})
    assert (refused.value.low, refused.value.high) == (0.5, 1e6)
    assert refused.value.hint == "It takes a number from 0.5 to 1e+06."


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_the_bounds_themselves_are_allowed(limit: float) -> None:
    said = {"above": {"parameters": {"limit": limit, "need": 1}}}
    if limit < 1:  # within its bounds, and senseless together
        with pytest.raises(BadRules, match="need"):
            checked(RULES, said)
    else:
        assert checked(RULES, said)["above"]["parameters"]["limit"] == limit


@pytest.mark.parametrize(
    "said", [5, {"enabled": 1}, {"enabled": "false"}, {"parameters": []}, {"parametres": {}}, {"limit": 5}]
)
def test_a_wrong_shape_is_refused(said: Any) -> None:
    with pytest.raises(BadRules):
        checked(RULES, {"above": said})


def test_a_later_layer_counts_key_by_key() -> None:
    first = {"above": {"enabled": False, "parameters": {"limit": 5.0, "need": 2.0}}}
    second = {"above": {"parameters": {"limit": 6.0}}, "beyond": {"enabled": False}}
    assert layered(first, second) == {  # type: ignore[arg-type]
        "above": {"enabled": False, "parameters": {"limit": 6.0, "need": 2.0}},
        "beyond": {"enabled": False},
    }
    assert first["above"]["parameters"] == {"limit": 5.0, "need": 2.0}, "what was given is not changed"


def test_of_a_stored_configuration_what_still_fits_counts() -> None:
    stored = {
        "above": {"enabled": False, "parameters": {"limit": 7, "gone": 1, "need": 99}},
        "gone_rule": {"enabled": True},
        "beyond": 5,
    }
    fit, misfits = fitting(RULES, {"run": stored})
    assert fit["run"] == {"above": {"enabled": False, "parameters": {"limit": 7.0}}}
    assert len(misfits) == 4
    assert any("gone_rule" in sentence for sentence in misfits)


def test_what_fits_alone_and_not_together_is_left_out() -> None:
    fit, misfits = fitting(RULES, {"run": {"above": {"parameters": {"need": 5, "limit": 3}}}})
    assert fit["run"] == {"above": {"parameters": {"need": 5.0}}}
    assert [each.endswith("above: need (5) is above limit (3).") for each in misfits] == [True]


def test_what_fits_only_together_counts() -> None:
    """One layer lowers the limit; what another says of `need` fits with it, although it would not fit before it."""
    rules = (tried_rules.rule("above", limit=2.0),)
    said = {"above": {"parameters": {"need": 5, "limit": 7}}}
    assert fitting(rules, {"run": said}) == ({"run": checked(rules, said)}, [])
    layers = {"project": {"above": {"parameters": {"need": 5}}}, "run": {"above": {"parameters": {"limit": 7}}}}
    assert fitting(rules, layers) == (shaped_all(rules, layers), [])
    broken = {"file": {"above": {"parameters": {"gone": 1}}}, **layers}
    assert fitting(rules, broken)[0]["project"] == layers["project"]
    # the nearer one does not fit with what is further away: that one goes on counting
    nearer = {
        "project": {"above": {"parameters": {"limit": 4}}},
        "run": {"above": {"parameters": {"limit": 1, "need": 4}}},
    }
    assert fitting((tried_rules.rule("above"),), nearer)[0] == {
        "project": {"above": {"parameters": {"limit": 4.0}}},
        "run": {"above": {"parameters": {"limit": 1.0}}},
    }


def shaped_all(rules: Any, layers: dict[str, Any]) -> dict[str, Any]:
    return {who: shaped(rules, said) for who, said in layers.items()}


PAIRS = [
    ("loss_jump", "need", 9, "of", 3),
    ("grad_cluster", "need", 21, "of", 20),
    ("grad_norm_high", "warning_need", 6, "warning_of", 5),
    ("grad_norm_high", "critical_need", 4, "critical_of", 3),
    ("grad_growth", "factor_warning", 30, "factor_critical", 20),
    ("look_ahead", "jump_shown", 3, "jump", 2),
    ("throughput", "factor_open", 1.3, "factor", 1.2),
    ("throughput", "factor", 3, "factor_critical", 2),
    ("contribution_dominates", "share_open", 0.6, "share", 0.5),
    ("train_eval", "watch", 6, "page", 5),
    ("train_eval", "page", 200, "at_once", 100),
    ("update_ratio", "low", 0.5, "high", 0.1),
]


@pytest.mark.parametrize(("rule", "lower", "value", "upper", "default"), PAIRS)
def test_a_pair_that_would_silence_a_rule_is_refused_with_both_names(
    rule: str, lower: str, value: float, upper: str, default: float
) -> None:
    with pytest.raises(BadRules) as refused:
        checked(default_rules(), {rule: {"parameters": {lower: value}}})
    assert f"{rule}: {lower} ({value:g}) is above {upper} ({default:g})" in refused.value.message
    checked(default_rules(), {rule: {"parameters": {lower: default}}})  # equal is allowed


COUNTS = [("loss_jump", "need"), ("loss_jump", "of"), ("plateau", "samples"), ("nonfinite", "list_max")]


@pytest.mark.parametrize(("rule", "name"), [*COUNTS, ("count", "empty_rows"), ("loss_scale", "halvings")])
def test_a_part_of_a_count_is_refused(rule: str, name: str) -> None:
    [parameters] = [described(each)["parameters"] for each in default_rules() if each.name == rule]
    [entry] = [each for each in parameters if each["name"] == name]
    assert entry["whole"]
    with pytest.raises(ParameterOutOfBounds) as refused:
        checked(default_rules(), {rule: {"parameters": {name: entry["default"] + 0.5}}})
    assert (refused.value.hint or "").startswith("It takes a whole number from")


def test_a_rule_is_described_with_everything_that_a_form_needs() -> None:
    shown = described(RULES[0])
    assert (shown["number"], shown["name"], shown["warm_up"]) == ("R99", "above", 0)
    limit = {
        "name": "limit",
        "text": "above this a value counts",
        "unit": "units",
        "low": 0.5,
        "high": 1e6,
        "whole": False,
    }
    assert shown["parameters"][0] == {**limit, "default": 100.0}


@pytest.mark.parametrize("rule", default_rules(), ids=lambda rule: rule.name)
def test_every_default_lies_within_its_bounds_and_can_be_set_to_itself(rule: Any) -> None:
    parameters = {entry["name"]: entry["default"] for entry in described(rule)["parameters"]}
    [same] = tuned([rule], {rule.name: {"parameters": parameters}})
    assert same.parameters == rule.parameters
    assert all(entry["text"] for entry in described(rule)["parameters"])


def test_nothing_like_it_is_nothing() -> None:
    assert nearest("zzzzzz", ["above"]) is None
