"""The schedule says what its plan says, at the price of one comparison."""

import itertools
import timeit
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import lossguard as lg
from helpers import examples
from lossguard.controller import Controller
from lossguard.controls import Controls
from lossguard.deeds import Deeds, Means
from lossguard.protocol.messages import Command, Operation
from lossguard.protocol.steering import STEERING_KINDS, NotPossible, Plan
from lossguard.ranks import Alone
from lossguard.schedule import InForce, Schedule

CURRICULUM = lg.Curriculum(
    lg.Stage("one", weights={"a": 1.0}),
    lg.Stage("two", start=20, weights={"a": 1.0, "b": lg.ramp(0.0, 0.5, 15)}),
    lg.Stage("three", start=50, weights={"a": 0.5, "b": 0.7, "c": lg.ramp(0.2, 0.0, 8)}),
)
STEPS = 110

name, number = st.sampled_from(["a", "b", "c"]), st.sampled_from([0.0, 0.01, 0.3, 0.9])
steps = st.one_of(st.none(), st.integers(1, 30))


def kind(kind: str, **args: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.tuples(st.just(kind), st.fixed_dictionaries(args))


wishes = st.one_of(
    kind("set_weight", component=name, value=number, ramp_steps=steps, lease_steps=steps),
    kind("scale_weights", factor=st.sampled_from([0.5, 2.0]), lease_steps=steps),
    kind("gate", component=name, open=st.booleans(), lease_steps=steps),
    kind("hold_stage", lease_steps=steps),
    kind("release_stage"),
    kind("go_to_stage", stage=st.sampled_from(["one", "two", "three"])),
    kind("set_lr_scale", value=number, lease_steps=steps),
    kind("set_clip", value=st.sampled_from([0.5, 1.0]), lease_steps=steps),
    kind("revert", command=st.integers(0, 12).map(lambda i: f"c{i}")),
    kind("rollback", before_step=st.integers(1, 60)),
)


def of_plan(plan: Plan, step: int) -> InForce:
    """The same without a schedule's memory."""
    fresh = Plan(plan.stages, plan.components, plan.operations)
    index, scale, clip = fresh.stage_index_at(step), fresh.lr_scale_at(step), fresh.clip_at(step)
    return InForce(fresh.weights_at(step), fresh.gated_at(step), index or 0, scale, clip)


@examples(200)
@given(st.lists(st.tuples(st.integers(0, 15), wishes), max_size=12))
def test_commands_through_a_controller_are_the_plan_of_what_was_told_as_applied(
    given_wishes: list[tuple[int, tuple[str, dict[str, Any]]]],
) -> None:
    schedule, plan = Schedule(CURRICULUM), Schedule(CURRICULUM).plan
    told: list[tuple[Command, int, dict[str, Any]]] = []
    means = Means(
        newest_snapshot=lambda before: None if before is None else max(before - 5, 0),
        roll_back=lambda before, command: went_back((now[0], (before or 0) - 1)),
        clip=lambda: 1.0,
    )

    def went_back(moved: tuple[int, int]) -> tuple[int, int]:
        schedule.roll_back(*moved)
        return moved

    deeds = Deeds(schedule, Controls().spec(schedule), Alone(), means)
    controller = Controller(deeds, Alone(), 1.0, lambda *said: told.append(said), lambda: 0.0)
    now, count = [0], itertools.count()
    for gap, (kind, args) in given_wishes:
        for _ in range(gap):
            now[0] += 1
            assert schedule.at(now[0]) == of_plan(schedule.plan, now[0])
        if kind == "rollback" and now[0] < 60:
            args = {"before_step": min(args["before_step"], max(now[0], 1))}
        args = {key: value for key, value in args.items() if value is not None}
        i = next(count)
        controller.offer(Command(id=f"c{i}", number=i, kind=kind, args=args))
        controller.apply(now[0])
        command, at, result = told[-1]
        if result["state"] == "applied" and kind in STEERING_KINDS:
            plan = plan.plus(Operation(at, command.id, command.kind, result["args"]))
        elif result["state"] == "applied":  # what the `rollback` event says
            plan = plan.rolled_back(result["new"], result["old"])
            now[0] = result["new"]
    assert schedule.plan.operations == plan.operations
    for step in range(STEPS):
        assert schedule.at(step) == of_plan(plan, step)


def test_what_is_only_due_later_stays_there_in_a_rollback() -> None:
    due = Operation(80, "patch", "set_weight", {"component": "a", "value": 0.1})
    schedule = Schedule(lg.Curriculum(*CURRICULUM.stages, operations=[due]))
    schedule.apply(Operation(45, "now", "set_weight", {"component": "a", "value": 0.7}))
    schedule.roll_back(48, 30)
    assert [schedule.weights_at(step)["a"] for step in (29, 30, 79, 80)] == [1.0, 0.7, 0.7, 0.1]


def test_a_refused_operation_leaves_all_as_it_was() -> None:
    schedule = Schedule(CURRICULUM)
    before = schedule.at(5)
    for _ in range(2):
        try:
            schedule.apply(Operation(5, "x", "release_stage"))
        except NotPossible:
            continue
        raise AssertionError("nothing was held")
    assert schedule.at(5) is before


def test_a_step_at_which_nothing_changes_costs_no_computation() -> None:
    schedule = Schedule(CURRICULUM)
    for i in range(200):
        schedule.apply(Operation(i, f"c{i}", "set_weight", {"component": "a", "value": 0.5 + i / 1000}))
    known = schedule.at(1_000)
    assert all(schedule.at(step) is known for step in range(1_000, 2_000))
    once_s = min(timeit.repeat(lambda: schedule.at(1_500), number=2_000, repeat=5)) / 2_000
    assert once_s < 5e-6  # measured: 0.15 us; far from what 200 operations cost to look through
