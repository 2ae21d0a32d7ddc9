"""The plan of an attempt follows from what its trainer declared and told, whoever sent it."""

from typing import Any

import pytest

from lossguard.protocol.messages import Declaration, Event, Operation, StageSpec
from lossguard_server.services.plan_fold import PlanFold, fold

STAGES = [StageSpec("one", 0, {"a": 1.0}), StageSpec("two", 100, {"a": 1.0, "b": 0.5})]


def declared(*operations: Operation, stages: list[StageSpec] = STAGES) -> Declaration:
    return Declaration(seq=1, components=["a", "b"], stages=stages, operations=list(operations))


def event(kind: str, step: int, /, **data: Any) -> Event:
    return Event(seq=2, kind=kind, step=step, data=data)


def applied(step: int, command_id: str, kind: str = "set_weight", args: Any = None) -> Event:
    args = {"component": "a", "value": 0.5} if args is None else args
    return event("command", step, id=command_id, kind=kind, state="applied", args=args)


def ids(folded: PlanFold) -> list[tuple[str, int]]:
    return [(each.id, each.step) for each in folded.plan.operations]


def test_applied_commands_steer_from_their_step_on() -> None:
    folded = fold(
        [declared(), applied(10, "c1"), event("command", 20, id="c2", kind="pause", state="applied", args={})]
    )
    assert ids(folded) == [("c1", 10)], "a pause steers nothing"
    assert [folded.plan.weight_at("a", step) for step in (9, 10, 200)] == [1.0, 0.5, 0.5]
    assert (folded.reached_step, folded.has_declared, folded.resumed_step) == (20, True, None)


@pytest.mark.parametrize("state", ["received", "rejected", None, 5])
def test_what_was_not_applied_steers_nothing(state: Any) -> None:
    told = event("command", 10, id="c1", kind="set_weight", state=state, args={"component": "a", "value": 0.5})
    assert ids(fold([declared(), told])) == []


def test_a_rollback_moves_what_was_done_since_to_its_target() -> None:
    folded = fold([declared(), applied(10, "c1"), applied(30, "c2"), event("rollback", 20, **{"from": 40, "to": 20})])
    assert ids(folded) == [("c1", 10), ("c2", 20)]
    assert folded.reached_step == 20
    assert ids(fold([declared(), applied(10, "c1"), event("rollback", 5, to=-1)])) == [("c1", 10)], "to no step"


def test_a_resume_replaces_what_was_applied() -> None:
    checkpoint = [[5, "c7", "gate", {"component": "b", "open": False}], [8, "c9", "revert", {"command": "c7"}]]
    folded = fold([declared(), applied(10, "c1"), event("resume", 50, operations=checkpoint, applied_upto=9)])
    assert ids(folded) == [("c7", 5), ("c9", 8)]
    assert (folded.resumed_step, folded.reached_step) == (50, 50)
    folded.tell(applied(60, "c1"))
    assert ids(folded) == [("c7", 5), ("c9", 8), ("c1", 60)], "it is applied again"


def test_a_patch_is_in_force_beside_what_is_done() -> None:
    patch = Operation(200, "p1", "set_weight", {"component": "b", "value": 0.1})
    folded = fold([declared(patch), applied(10, "c1")])
    assert ids(folded) == [("c1", 10), ("p1", 200)]
    assert folded.reached_step == 10, "a patch lies ahead, and says nothing of where the run is"
    folded.declare(declared(patch))
    assert ids(folded) == [("c1", 10), ("p1", 200)], "declared once more, what was done since stays"


def test_an_older_trainer_s_arguments_are_those_of_its_command() -> None:
    told = event("command", 10, id="c1", kind="set_weight", state="applied", old=1.0, new=0.25)
    given = {"c1": ("set_weight", {"component": "a", "value": 0.25})}
    assert fold([declared(), told], given.get).plan.weight_at("a", 10) == 0.25
    assert ids(fold([declared(), told])) == [], "of a command that nobody knows there is nothing to compute"


HOSTILE = [
    applied(10, "x", "explode"),
    applied(10, "x", "set_weight", {"component": "a"}),
    applied(10, "x", "set_weight", {"component": "a", "value": float("nan")}),
    applied(10, "x", "set_weight", {"component": "a", "value": 1.0, "lease_steps": -5}),
    applied(10, "x", "set_weight", [1, 2]),
    applied(10, "x", "go_to_stage", {"stage": "nowhere"}),
    applied(10, "x", "revert", {"command": "x"}),
    applied(10, "x", "revert", {"command": "later"}),
    applied(-1, "x"),
    event("command", 10, id=7, kind="set_weight", state="applied", args={}),
    event("command", 10, id="x", kind=None, state="applied", args={}),
    event("resume", 10, operations={"a": 1}),
    event("resume", -4, operations=[7, [1], [1, 2, 3, 4], ["1", "x", "gate", {}], [True, "x", "gate", {}]]),
    event("resume", 10, operations=[[1, "x", "revert", {"command": "y"}], [1, "y", "revert", {"command": "x"}]]),
    event("resume", 10, operations=None),
    event("rollback", 10, to="5"),
    event("stage", 10, index=1),
]


@pytest.mark.parametrize("told", HOSTILE)
def test_what_cannot_be_computed_with_is_left_out(told: Event) -> None:
    folded = fold([declared(Operation(-3, "p", "gate", {}), Operation(3, "q", "go_to_stage", {"stage": "x"})), told])
    assert ids(folded) == []
    assert folded.plan.weights_at(150) == {"a": 1.0, "b": 0.5}
    assert folded.plan.changes_after(0) == [100]


def test_what_goes_to_a_stage_that_is_no_more_goes_nowhere() -> None:
    jump = applied(10, "c1", "go_to_stage", {"stage": "two"})
    folded = fold([declared(), jump, applied(11, "c2", "revert", {"command": "c1"}), applied(12, "c3")])
    folded.declare(declared(stages=STAGES[:1]))
    assert ids(folded) == [("c3", 12)], "nor is there anything to revert"


def test_each_command_counts_once() -> None:
    again = applied(12, "c1", args={"component": "a", "value": 0.9})
    assert ids(fold([declared(), applied(10, "c1"), again])) == [("c1", 10)]


def test_a_word_that_is_repeated_changes_nothing() -> None:
    folded = fold([declared(), applied(10, "c1"), event("resume", 5, operations=[]), applied(10, "c1")])
    assert (ids(folded), folded.reached_step) == ([], 5), "what the checkpoint lacks stays out"
