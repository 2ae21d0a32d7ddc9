"""What a person may let the server do by itself: taken as it was meant, or refused with the way out."""

from typing import Any

import pytest

from lossguard_server.errors import BadPolicies, BadRequest, BudgetOutOfBounds, UnknownDeed, UnknownRule
from lossguard_server.services.policies.wishes import KIND_OF, Policy, fitting, shaped

RULES = ("loss_jump", "nonfinite")


def test_what_is_not_said_is_critical_only_and_ten_minutes() -> None:
    found = shaped(RULES, {"loss_jump": {"do": "pause", "budget": 3}})
    assert found == {"loss_jump": Policy("pause", 3, "critical", 600.0)}
    assert found["loss_jump"].to_dict() == {"do": "pause", "budget": 3, "severity": "critical", "pause_s": 600.0}


@pytest.mark.parametrize("deed", KIND_OF)
def test_every_deed_can_be_set(deed: str) -> None:
    said = {"nonfinite": {"do": deed, "budget": 100, "severity": "warning", "pause_s": 0}}
    assert shaped(RULES, said)["nonfinite"] == Policy(deed, 100, "warning", 0.0)


def test_off_says_nothing_else() -> None:
    assert shaped(RULES, {"loss_jump": {"do": "off"}})["loss_jump"].to_dict() == {"do": "off"}
    with pytest.raises(UnknownDeed, match="alone"):
        shaped(RULES, {"loss_jump": {"do": "off", "budget": 1}})


@pytest.mark.parametrize(
    ("wish", "error", "told"),
    [
        ({"loss_jmp": {"do": "pause", "budget": 1}}, UnknownRule, "Did you mean 'loss_jump'"),
        ({"loss_jump": {"do": "paus", "budget": 1}}, UnknownDeed, "Did you mean 'pause'"),
        ({"loss_jump": {"do": ["pause"], "budget": 1}}, UnknownDeed, "It takes skip, lower_weight"),
        ({"loss_jump": {"budget": 1}}, UnknownDeed, "do None"),
        ({"loss_jump": {"do": "skip", "budget": 1}}, UnknownDeed, "it is for nonfinite"),
        ({"loss_jump": {"do": "pause"}}, BudgetOutOfBounds, "budget is not said"),
        ({"loss_jump": {"do": "pause", "budget": 0}}, BudgetOutOfBounds, "1 to 100"),
        ({"loss_jump": {"do": "pause", "budget": 101}}, BudgetOutOfBounds, "is 101"),
        ({"loss_jump": {"do": "pause", "budget": True}}, BudgetOutOfBounds, "is True"),
        ({"loss_jump": {"do": "pause", "budget": 2.0}}, BudgetOutOfBounds, "is 2.0"),
        ({"loss_jump": {"do": "pause", "budget": 1, "severity": "all"}}, BadPolicies, "warning or critical"),
        ({"loss_jump": {"do": "pause", "budget": 1, "severity": ["x"]}}, BadPolicies, "warning or critical"),
        ({"loss_jump": {"do": "pause", "budget": 1, "pause_s": -1}}, BadPolicies, "pause_s is -1"),
        ({"loss_jump": {"do": "pause", "budget": 1, "pause_s": float("nan")}}, BadPolicies, "pause_s is nan"),
        ({"loss_jump": {"do": "pause", "budget": 1, "pause_s": 604_801}}, BadPolicies, "604800"),
        ({"loss_jump": {"do": "pause", "bugdet": 1}}, BadPolicies, "Did you mean 'budget'"),
        ({"loss_jump": "pause"}, BadPolicies, "loss_jump is 'pause'"),
    ],
)
def test_what_makes_no_sense_is_told(wish: dict[str, Any], error: type[BadRequest], told: str) -> None:
    with pytest.raises(error) as refused:
        shaped(RULES, wish)
    assert told in str(refused.value)


def test_what_was_stored_and_no_longer_fits_is_told_and_the_rest_counts() -> None:
    found, misfits = fitting(RULES, {"gone": {"do": "pause", "budget": 1}, "loss_jump": {"do": "pause", "budget": 1}})
    assert found == {"loss_jump": Policy("pause", 1)}
    assert misfits == ["There is no rule 'gone'."]


@pytest.mark.parametrize(
    ("policy", "answered"),
    [
        (Policy("pause"), ["critical"]),
        (Policy("pause", severity="warning"), ["warning", "critical"]),
        (Policy("off"), []),
    ],
)
def test_which_alerts_are_for_it(policy: Policy, answered: list[str]) -> None:
    assert [severity for severity in ("warning", "critical") if policy.answers(severity)] == answered
