"""The plan: holds, leases and reverts one by one, what is refused, and operations that a person would never send."""

import pytest

from lossguard.protocol.messages import Operation, RampSpec, StageSpec
from lossguard.protocol.steering import NotPossible, Plan

STAGES = (
    StageSpec("one", 0, {"a": 1.0}),
    StageSpec("two", 100, {"a": 1.0, "b": RampSpec(0.0, 1.0, 50)}),
    StageSpec("three", 200, {"b": 0.5}),
)


def plan(*done: tuple[int, str, dict[str, object]]) -> Plan:
    operations = [Operation(step, f"c{number}", kind, args) for number, (step, kind, args) in enumerate(done)]
    found = Plan(STAGES, ("a", "b"))
    for operation in operations:
        found = found.plus(operation)
    return found


def test_a_hold_in_the_middle_of_a_ramp_keeps_its_weight_and_release_goes_on_from_there() -> None:
    held = plan((120, "hold_stage", {}), (300, "release_stage", {}))
    assert [held.weight_at("b", step) for step in (119, 120, 250, 300, 310, 330, 379, 380)] == [
        0.38, 0.4, 0.4, 0.4, 0.6, 1.0, 1.0, 0.5,
    ]  # fmt: skip


def test_a_hold_that_is_reverted_never_was() -> None:
    held = plan((90, "hold_stage", {}), (150, "revert", {"command": "c0"}))
    assert [held.clock_at(step).position for step in (89, 90, 149, 150)] == [89, 90, 90, 150]


def test_a_lease_ends_a_hold_and_a_weight_by_themselves() -> None:
    leased = plan(
        (90, "hold_stage", {"lease_steps": 20}), (95, "set_weight", {"component": "a", "value": 3.0, "lease_steps": 5})
    )
    assert [leased.weight_at("a", step) for step in (94, 95, 99, 100)] == [1.0, 3.0, 3.0, 1.0]
    assert leased.begins_at(1, 92) == 120
    assert leased.changes_after(92) == [95, 100, 110, 120, 170, 220]


def test_a_ramp_begins_at_what_is_in_force() -> None:
    ramped = plan(
        (10, "set_weight", {"component": "a", "value": 2.0}),
        (20, "set_weight", {"component": "a", "value": 4.0, "ramp_steps": 4}),
    )
    assert [ramped.weight_at("a", step) for step in (19, 20, 21, 23, 24, 99)] == [2.0, 2.0, 2.5, 3.5, 4.0, 4.0]


def test_a_gate_leaves_out_and_opens_again() -> None:
    gated = plan((10, "gate", {"component": "a", "open": False}), (20, "gate", {"component": "a", "open": True}))
    assert [gated.gated_at(step) for step in (9, 10, 20)] == [frozenset(), frozenset({"a"}), frozenset()]
    assert [gated.weight_at("a", step) for step in (9, 10, 20)] == [1.0, 0.0, 1.0]


def test_a_rollback_takes_training_back_and_leaves_intentions() -> None:
    back = plan((50, "set_weight", {"component": "a", "value": 3.0, "lease_steps": 30})).rolled_back(20)
    assert [back.weight_at("a", step) for step in (19, 20, 49, 50)] == [1.0, 3.0, 3.0, 1.0]


@pytest.mark.parametrize(
    ("done", "kind", "args", "said"),
    [
        ([], "set_weight", {"component": "x", "value": 1.0}, "no component 'x'"),
        ([], "release_stage", {}, "not held"),
        ([(10, "hold_stage", {})], "hold_stage", {}, "held already"),
        ([], "go_to_stage", {"stage": "nine"}, "it has one, two, three"),
        ([], "revert", {"command": "c9"}, "no command 'c9'"),
        ([(10, "set_clip", {"value": 1.0, "lease_steps": 5})], "revert", {"command": "c0"}, "lease ended at step 15"),
        ([(10, "set_clip", {"value": 1.0}), (11, "set_clip", {"value": 2.0})], "revert", {"command": "c0"}, "again"),
        ([(10, "set_clip", {"value": 1.0}), (11, "revert", {"command": "c0"})], "revert", {"command": "c0"}, "already"),
        ([(90, "set_clip", {"value": 1.0})], "revert", {"command": "c0"}, "due at step 90 only"),
        ([], "pause", {}, "changes nothing of a curriculum"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_reason(
    done: list[tuple[int, str, dict[str, object]]], kind: str, args: dict[str, object], said: str
) -> None:
    with pytest.raises(NotPossible, match=said):
        plan(*done).plus(Operation(50, "new", kind, args))


def test_a_run_of_one_stage_has_nothing_to_hold() -> None:
    with pytest.raises(NotPossible, match="no stages to hold"):
        Plan(STAGES[:1], ("a",)).plus(Operation(1, "c", "hold_stage", {}))


@pytest.mark.parametrize("named", [("r0", "r0"), ("r1", "r0"), ("r1", "nobody")])
def test_reverts_that_name_themselves_or_each_other_revert_nothing(named: tuple[str, str]) -> None:
    """From a file, or from a trainer that is not ours."""
    odd = [Operation(1, f"r{number}", "revert", {"command": each}) for number, each in enumerate(named)]
    assert Plan(STAGES, ("a", "b"), odd).weights_at(10) == {"a": 1.0, "b": 0.0}
    assert Plan(STAGES, ("a", "b"), odd).root_of(0) == 0


def test_a_thousand_ramps_are_no_deeper_than_one() -> None:
    """A recursion here once ended a training."""
    ramped = plan(
        *[(3 * i, "set_weight", {"component": "a", "value": 1.0 + i % 5, "ramp_steps": 5}) for i in range(1_000)]
    )
    fresh = Plan(STAGES, ("a", "b"), ramped.operations)
    assert fresh.weights_at(2_998) == ramped.weights_at(2_998)


def test_a_revert_at_the_step_at_which_a_ramp_began_does_not_change_where_it_began() -> None:
    ramped = plan(
        (10, "set_weight", {"component": "a", "value": 3.0}),
        (20, "set_weight", {"component": "a", "value": 5.0, "ramp_steps": 2}),
        (20, "revert", {"command": "c1"}),
        (20, "revert", {"command": "c2"}),
    )
    assert [ramped.weight_at("a", step) for step in (20, 21, 22)] == [3.0, 4.0, 5.0]
