"""What rules know of stages that an operator holds, or goes to."""

import numpy as np
import pytest

from lossguard.protocol.messages import Declaration, Operation, StageSpec
from lossguard_server.rules.schedule import Schedule, Stage

STAGES = [
    StageSpec("one", 0, {"a": 1.0}),
    StageSpec("two", 100, {"a": 1.0, "b": 0.5}),
    StageSpec("three", 200, {"b": 1.0}),
]


def steered(*operations: tuple[int, str, dict[str, object]]) -> Schedule:
    done = [Operation(step, f"c{at}", kind, args) for at, (step, kind, args) in enumerate(operations)]
    return Schedule(Declaration(seq=1, components=["a", "b"], stages=STAGES, operations=done))


def test_a_stage_that_is_held_does_not_end() -> None:
    schedule = steered((80, "hold_stage", {}))
    assert schedule.stage_at(500) == Stage(0, "one", 0)
    assert schedule.stage_after(50) == Stage(1, "two", 100)
    assert schedule.stage_after(80) is None
    assert schedule.weight_at("b", 500) == 0
    assert schedule.stages_at(np.array([50, 150, 900])).tolist() == [0, 0, 0]


def test_a_stage_that_was_held_begins_later() -> None:
    schedule = steered((80, "hold_stage", {}), (130, "release_stage", {}))
    assert schedule.stage_after(140) == Stage(1, "two", 150)
    assert schedule.stage_at(170) == Stage(1, "two", 150)
    assert schedule.stages_at(np.array([149, 150, 249, 250])).tolist() == [0, 1, 1, 2]
    assert schedule.weights_at("b", np.array([149, 150, 250])).tolist() == [0.0, 0.5, 1.0]


def test_a_hold_with_a_lease_says_when_the_next_stage_begins() -> None:
    schedule = steered((80, "hold_stage", {"lease_steps": 40}))
    assert [schedule.stage_after(step) for step in (79, 80, 119, 125)] == [
        Stage(1, "two", 100),
        *[Stage(1, "two", 140)] * 3,
    ]


@pytest.mark.parametrize(("step", "began"), [(300, 250), (250, 250), (249, 200), (349, 250), (350, 350)])
def test_a_stage_that_was_gone_back_to_begins_there(step: int, began: int) -> None:
    schedule = steered((250, "go_to_stage", {"stage": "two"}))
    found = schedule.stage_at(step)
    assert found is not None
    assert found.start == began
    assert found.name == ("two" if 250 <= step < 350 else "three")


def test_weights_alone_move_no_stage() -> None:
    schedule = steered((50, "set_weight", {"component": "b", "value": 9.0}))
    assert schedule.stage_at(120) == Stage(1, "two", 100)
    assert schedule.weight_at("b", 120) == 0.5, "what was intended, not what is in force"
