"""What is in force and what will change, said for people, and written for the next run."""

from collections.abc import Sequence
from typing import Any

from lossguard.protocol.messages import Declaration, Operation, RampSpec, StageSpec
from lossguard.protocol.steering import Plan
from lossguard_server.services.live import LiveRun
from lossguard_server.services.plans import CHANGES_MAX, PIECES_MAX, curriculum_patch, effective, schedule_view
from lossguard_server.store.runs import StoredRun

STAGES = [StageSpec("one", 0, {"a": 1.0}), StageSpec("two", 20, {"a": 1.0, "b": RampSpec(0.0, 0.5, 10)})]


def a_run(step: int, operations: Sequence[Operation], stages: Sequence[StageSpec] = STAGES) -> LiveRun:
    declaration = Declaration(seq=1, components=["a", "b"], stages=list(stages), operations=list(operations))
    return LiveRun(StoredRun("r1", "p", "n", 1.0, 1.0, 1, 0, None), declaration=declaration, step=step - 1)


def said(run: LiveRun) -> list[tuple[int, str]]:
    return [(each["step"], each["text"]) for each in schedule_view(run, 3)["changes"]]


def op(step: int, number: int, kind: str, **args: Any) -> Operation:
    return Operation(step, f"c{number}", kind, args)


def test_each_thing_that_will_change_is_said_once_at_its_step() -> None:
    run = a_run(
        5,
        [
            op(2, 1, "set_lr_scale", value=0.5, lease_steps=6),
            op(2, 2, "set_clip", value=2.0, lease_steps=7),
            op(3, 3, "gate", component="a", open=False, lease_steps=9),
            op(3, 4, "set_weight", component="b", value=0.2, ramp_steps=10),
        ],
    )
    assert said(run) == [
        (8, "b 0.1, learning rates times 1"),
        (9, "b 0.12, clipping as the script says"),
        (12, "a 1, b 0.18, gated: none"),
        (13, "b 0.2"),
        (20, "stage two"),
    ]
    view = schedule_view(run, 3)
    assert (view["version"], view["gated"], view["lr_scale"], view["clip"]) == (3, ["a"], 0.5, 2.0)


def test_of_a_stage_that_is_named_after_its_weights_they_are_not_said_twice() -> None:
    stages = [
        StageSpec("one", 0, {"a": 1.0}),
        StageSpec("a 0.5, b=0.25", 20, {"a": 0.5, "b": 0.25}),
        StageSpec("extra a 10", 30, {"a": 1.0, "b": 0.1}),
    ]
    run = a_run(5, [], stages)
    assert said(run) == [(20, "stage a 0.5, b=0.25"), (30, "stage extra a 10, a 1, b 0.1")]
    assert next(change["weights"] for change in schedule_view(run, 3)["changes"]) == {"a": 0.5, "b": 0.25}


def test_a_hold_says_since_when_and_until_when() -> None:
    for_ever = schedule_view(a_run(12, [op(7, 1, "hold_stage")]), 1)
    assert (for_ever["held"], for_ever["position"], for_ever["stages"][1]["begins_at"]) == (
        {"since": 7, "until": None},
        7,
        None,
    )
    leased = a_run(12, [op(7, 1, "hold_stage", lease_steps=8)])
    assert schedule_view(leased, 1)["held"] == {"since": 7, "until": 15}
    assert said(leased)[0] == (15, "the stage is released")
    assert said(leased)[1] == (28, "stage two")
    assert schedule_view(a_run(15, [op(7, 1, "hold_stage", lease_steps=8)]), 1)["held"] is None
    released = a_run(12, [op(7, 1, "hold_stage"), op(9, 2, "release_stage")])
    assert schedule_view(released, 2)["held"] is None


def test_of_a_patch_what_is_still_to_come_is_no_part_of_now() -> None:
    view = schedule_view(a_run(5, [op(9, 1, "set_weight", component="a", value=0.5)]), 0)
    assert (view["step"], view["weights"]["a"], view["operations"][0]["in_force"]) == (5, 1.0, False)
    assert view["changes"][0] == {"step": 9, "weights": {"a": 0.5}, "text": "a 0.5"}


def test_the_pieces_cover_every_step_with_the_plan_s_own_weights() -> None:
    plan = Plan(
        STAGES, ["a", "b"], [op(4, 1, "set_weight", component="a", value=0.2, lease_steps=30), op(25, 2, "hold_stage")]
    )
    pieces = effective(plan)
    assert [piece["from"] for piece in pieces[1:]] == [piece["to"] + 1 for piece in pieces[:-1]]
    assert (pieces[0]["from"], pieces[-1]["to"]) == (0, None)
    for piece in pieces:
        for name, weight in piece["weights"].items():
            first, last = weight if isinstance(weight, list) else (weight, weight)
            assert first == plan.weight_at(name, piece["from"])
            assert last == plan.weight_at(name, piece["from"] if piece["to"] is None else piece["to"])
    assert [piece["held"] for piece in pieces if piece["from"] in (20, 25)] == [False, True]


def test_a_run_that_declared_nothing_has_a_schedule_too() -> None:
    view = schedule_view(LiveRun(StoredRun("r1", "p", "n", 1.0, 1.0, 1, 0, None)), 0)
    assert (view["stages"], view["weights"], view["stage"], view["changes"], view["operations"]) == (
        [],
        {},
        None,
        [],
        [],
    )
    assert curriculum_patch(LiveRun(StoredRun("r1", "p", "n", 1.0, 1.0, 1, 0, None)))["stages"] == []


def test_what_is_shown_is_bounded() -> None:
    blips = [op(10 * n, n, "set_lr_scale", value=0.5, lease_steps=5) for n in range(1, 2_000)]
    run = a_run(5, blips)
    assert len(schedule_view(run, 0)["changes"]) == CHANGES_MAX
    patch = curriculum_patch(run)
    assert (len(patch["effective"]), len(patch["operations"])) == (PIECES_MAX, 1_999)
