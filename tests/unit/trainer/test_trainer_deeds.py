"""What each kind of command does, what it says that it did, and what it is refused for."""

from collections.abc import Sequence
from typing import Any

import pytest

import lossguard as lg
from lossguard.controls import Controls
from lossguard.deeds import Deeds, Means
from lossguard.protocol.commands import checked
from lossguard.protocol.messages import Command, Operation
from lossguard.protocol.steering import NotPossible
from lossguard.ranks import Alone, NotSettled
from lossguard.schedule import Schedule

CURRICULUM = lg.Curriculum(
    lg.Stage("one", weights={"ce": 1.0}),
    lg.Stage("two", start=10, weights={"ce": 1.0, "aux": lg.ramp(0.0, 0.4, 10)}),
    lg.Stage("three", start=40, weights={"ce": 0.5, "aux": 0.8}),
)


class World:
    def __init__(self, ranks: Any = None, curriculum: lg.Curriculum = CURRICULUM, **means: Any) -> None:
        self.schedule = Schedule(curriculum)
        spec = Controls().spec(self.schedule)
        self.deeds = Deeds(self.schedule, spec, ranks or Alone(), Means(**means))
        self._count = 0

    def do(self, kind: str, step: int = 12, at_step: int = -1, **args: Any) -> dict[str, Any]:
        self._count += 1
        command = Command(id=f"c{self._count}", number=self._count, kind=kind, args=args, at_step=at_step)
        self.deeds.check(kind, checked(kind, args), step)
        return self.deeds.do(command, checked(kind, args), step)


def test_a_ramp_says_where_it_goes_and_goes_there() -> None:
    world = World()
    assert world.do("set_weight", step=50, component="aux", value=0.4, ramp_steps=4) == {
        "old": 0.8, "new": 0.4, "component": "aux",
    }  # fmt: skip
    assert [world.schedule.weights_at(step)["aux"] for step in (50, 52, 54, 99)] == [0.8, pytest.approx(0.6), 0.4, 0.4]


def test_a_lease_ends_by_itself() -> None:
    world = World()
    world.do("set_weight", step=50, component="aux", value=0.1, lease_steps=5)
    assert [world.schedule.weights_at(step)["aux"] for step in (49, 50, 54, 55)] == [0.8, 0.1, 0.1, 0.8]


def test_weights_are_scaled_together_or_some_of_them() -> None:
    world = World()
    assert world.do("scale_weights", step=50, factor=0.5) == {
        "old": {"ce": 0.5, "aux": 0.8}, "new": {"ce": 0.25, "aux": 0.4},
    }  # fmt: skip
    assert world.do("scale_weights", step=51, factor=2, components=["aux"])["new"] == {"aux": 0.8}
    assert world.schedule.weights_at(60) == {"ce": 0.25, "aux": 0.8}


def test_a_gate_closes_and_opens() -> None:
    world = World()
    assert world.do("gate", step=50, component="aux", open=False) == {
        "old": "open", "new": "closed", "component": "aux",
    }  # fmt: skip
    assert (world.schedule.at(50).gated, world.schedule.weights_at(50)["aux"]) == ({"aux"}, 0.0)
    assert world.do("gate", step=60, component="aux", open=True)["old"] == "closed"
    assert (world.schedule.at(60).gated, world.schedule.weights_at(60)["aux"]) == (frozenset(), 0.8)


def test_a_stage_is_held_in_the_middle_of_its_ramp_and_goes_on_from_there() -> None:
    world = World()
    assert world.do("hold_stage", step=15) == {"old": "going on", "new": "held"}
    assert [world.schedule.weights_at(step)["aux"] for step in (15, 100)] == [0.2, 0.2]
    assert world.do("release_stage", step=100) == {"old": "held", "new": "going on"}
    assert world.schedule.weights_at(105)["aux"] == 0.4
    assert (world.schedule.at(124).stage_index, world.schedule.at(125).stage_index) == (1, 2)


def test_a_stage_is_gone_to_by_its_name() -> None:
    world = World()
    assert world.do("go_to_stage", step=5, stage="three") == {"old": "one", "new": "three"}
    assert world.schedule.at(5).stage_index == 2


def test_the_learning_rate_is_scaled_and_given_back_by_a_revert() -> None:
    world = World()
    assert world.do("set_lr_scale", value=0.5) == {"old": 1.0, "new": 0.5}
    assert world.do("set_lr_scale", value=0.1, lease_steps=3) == {"old": 0.5, "new": 0.1}
    assert [world.schedule.at(step).lr_scale for step in (11, 12, 14, 15)] == [1.0, 0.1, 0.1, 0.5]
    assert world.do("revert", step=13, command="c2") == {"old": 0.1, "new": 0.5}


def test_a_clip_tells_the_scripts_own_norm_and_needs_one() -> None:
    with pytest.raises(NotPossible, match="has not called run"):
        World().do("set_clip", value=0.5)
    world = World(clip=lambda: 1.0)
    assert world.do("set_clip", value=0.5) == {"old": 1.0, "new": 0.5}
    assert world.do("revert", command="c1") == {"old": 0.5, "new": 1.0}
    replayed = World()
    assert replayed.do("set_clip", at_step=12, value=0.5) == {"old": None, "new": 0.5}, "an earlier life had one"


def test_a_checkpoint_is_the_scripts_own_and_its_failure_a_reason() -> None:
    assert World(checkpoint=lambda step: f"ckpt/{step}.pt").do("checkpoint") == {"old": None, "new": "ckpt/12.pt"}
    assert World(checkpoint=lambda step: None).do("checkpoint")["new"] is None

    def broken(step: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(NotPossible, match=r"checkpoint function failed: OSError\(28, 'No space left on device'\)"):
        World(checkpoint=broken).do("checkpoint")
    with pytest.raises(NotPossible, match="no checkpoint function"):
        World().do("checkpoint")


@pytest.mark.parametrize(("path", "told"), [("run\udcff.pt", "run?.pt"), ("x" * 2**20, "x" * 512)])
def test_a_checkpoint_path_that_the_wire_does_not_carry_is_told_as_far_as_it_goes(path: str, told: str) -> None:
    assert World(checkpoint=lambda step: path).do("checkpoint") == {"old": None, "new": told}


def test_an_interrupt_in_a_checkpoint_is_no_failure_of_it() -> None:
    def interrupted(step: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        World(checkpoint=interrupted).do("checkpoint")


def test_a_rollback_without_a_snapshot_and_with_one_that_does_not_fit() -> None:
    with pytest.raises(NotPossible, match=r"^there is no healthy snapshot before step 7$"):
        World().do("rollback", before_step=7)
    with pytest.raises(NotPossible, match="does not fit"):
        World(newest_snapshot=lambda before: 5, obstacle=lambda before: "it does not fit").do("rollback")
    with pytest.raises(NotPossible, match="could not be put back"):
        World(newest_snapshot=lambda before: 5).do("rollback")


class Others(Alone):
    """Other ranks, with what they say each time they are asked."""

    count = 3

    def __init__(self, *said: Sequence[str]) -> None:
        super().__init__()
        self.said = list(said)

    def settle(self, mine: str) -> list[str]:
        if not self.said:
            raise NotSettled("a rank is gone")
        return [mine, *self.said.pop(0)]


def test_ranks_go_back_to_a_snapshot_that_all_of_them_have() -> None:
    shelf, went = [4, 8, 12], []
    world = World(
        Others(["8", "12"], ["8", "4"], ["4", "4"], ["", ""]),
        newest_snapshot=lambda before: max((s for s in shelf if before is None or s < before), default=None),
        roll_back=lambda before, command: went.append(before) or (20, before - 1),
    )
    assert world.do("rollback", step=20) == {"old": 20, "new": 4}
    assert went == [5]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([["12", ""]], "there is no healthy snapshot"),
        ([["12", "12"], ["", "the parameter w is not there"]], "rank 2: the parameter w is not there"),
        ([], "a rank is gone"),
    ],
)
def test_what_one_rank_cannot_do_none_does(said: list[list[str]], reason: str) -> None:
    world = World(Others(*said), newest_snapshot=lambda before: 12, roll_back=lambda before, command: 1 / 0)
    with pytest.raises(NotPossible, match=reason):
        world.do("rollback", step=20)


def test_a_checkpoint_that_fails_on_one_rank_is_none() -> None:
    world = World(Others(["", "disk full"]), checkpoint=lambda step: "here")
    with pytest.raises(NotPossible, match="rank 2: disk full"):
        world.do("checkpoint")


@pytest.mark.parametrize(
    ("kind", "args", "reason"),
    [
        ("scale_weights", {"factor": 100.0}, "100 is outside the bounds"),
        ("scale_weights", {"factor": 2.0, "components": ["nope"]}, "no component 'nope'"),
        ("gate", {"component": "nope", "open": False}, "no component 'nope'"),
        ("gate", {"component": "aux", "open": 0}, "'open' must be true or false"),
        ("go_to_stage", {"stage": "nope"}, "no stage 'nope'; it has one, two, three"),
        ("release_stage", {}, "not held"),
        ("set_lr_scale", {"value": 11.0}, r"outside the bounds \[0, 10\] of the learning rate's multiplier"),
        ("set_clip", {"value": 0.0}, "outside the bounds"),
        ("hold_stage", {"lease_steps": 0}, "'lease_steps' must be a whole number from 1"),
        ("revert", {"command": "c9"}, "no command 'c9'"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(kind: str, args: dict[str, Any], reason: str) -> None:
    world = World(clip=lambda: 1.0)
    with pytest.raises(NotPossible, match=reason):
        world.do(kind, **args)
    assert world.schedule.plan.operations == ()


def test_a_curriculum_of_one_stage_has_none_to_hold() -> None:
    world = World(curriculum=lg.Curriculum.constant({"a": 1.0}))
    for kind, args in (("hold_stage", {}), ("go_to_stage", {"stage": "all"})):
        with pytest.raises(NotPossible, match="no stages to hold"):
            world.do(kind, **args)


def test_a_scale_behind_a_closed_gate_stays_within_the_bounds() -> None:
    world = World()
    world.do("gate", step=50, component="aux", open=False)
    assert world.do("scale_weights", step=51, factor=10, components=["aux"])["new"] == {"aux": 0.0}
    with pytest.raises(NotPossible, match=r"80 is outside the bounds \[0, 8\] of 'aux'"):
        world.do("scale_weights", step=52, factor=10, components=["aux"])
    world.do("gate", step=53, component="aux", open=True)
    assert world.schedule.weights_at(60)["aux"] == 8.0


@pytest.mark.parametrize("factor", [1e300, 1.1e6, -0.5])
def test_a_factor_has_bounds_of_its_own(factor: float) -> None:
    with pytest.raises(NotPossible, match="of a factor"):
        World().do("scale_weights", step=0, factor=factor, components=["aux"])


def test_a_scale_is_held_against_what_comes_later() -> None:
    world = World()  # aux is 0 until step 10, and 0.8 from step 40 on
    with pytest.raises(NotPossible, match="at step 40"):
        world.do("scale_weights", step=5, factor=15, components=["aux"])
    assert world.do("scale_weights", step=5, factor=15, components=["aux"], lease_steps=20)["new"] == {"aux": 0.0}
    world = World()
    world.do("set_weight", step=50, component="aux", value=0.1, lease_steps=9)
    with pytest.raises(NotPossible, match="at step 59"):
        world.do("scale_weights", step=51, factor=50, components=["aux"])


def test_a_revert_or_another_stage_brings_no_scaled_weight_out_of_its_bounds() -> None:
    world = World()
    world.do("scale_weights", step=50, factor=10, components=["aux"])
    world.do("set_weight", step=51, component="aux", value=0.1)
    world.do("scale_weights", step=52, factor=50, components=["aux"])
    with pytest.raises(NotPossible, match="400 is outside"):
        world.do("revert", step=53, command="c2")
    assert world.do("revert", step=54, command="c3")["new"] == {"aux": 0.1}
    assert world.do("revert", step=55, command="c2")["new"] == 8.0
    world = World()
    world.do("scale_weights", step=50, factor=20, components=["ce"])
    with pytest.raises(NotPossible, match=r"20 is outside the bounds \[0, 10\] of 'ce'"):
        world.do("go_to_stage", step=51, stage="one")
    world = World()
    world.do("hold_stage", step=5)
    world.do("scale_weights", step=6, factor=15, components=["aux"])
    with pytest.raises(NotPossible, match=r"12 is outside .* at step 42"):
        world.do("release_stage", step=7)


def test_a_rollback_that_would_take_a_scale_to_higher_weights_is_refused_until_that_is_reverted() -> None:
    went: list[Any] = []
    world = World(
        newest_snapshot=lambda before: 15, roll_back=lambda before, command: went.append(before) or (45, before - 1)
    )
    world.do("scale_weights", step=45, factor=15, components=["ce"])  # 0.5 there, 1.0 before
    reason = "going back to step 15 takes what scales the weights along: 15 is outside the bounds \\[0, 10\\] of 'ce'"
    with pytest.raises(NotPossible, match=f"{reason}; revert that first"):
        world.do("rollback", step=46)
    assert went == []
    world.do("revert", step=46, command="c1")
    assert world.do("rollback", step=46) == {"old": 45, "new": 15}


def test_a_rollback_takes_what_fits_along() -> None:
    world = World(newest_snapshot=lambda before: 15, roll_back=lambda before, command: (45, before - 1))
    world.do("scale_weights", step=10, factor=9)
    world.do("scale_weights", step=45, factor=1.1, components=["aux"])
    world.do("gate", step=45, component="ce", open=False)
    assert world.do("rollback", step=46)["new"] == 15


def test_where_too_many_changes_lie_ahead_scaled_weights_are_not_believed_to_stay_in_bounds() -> None:
    planned = [Operation(100 + n, f"p{n}", "set_weight", {"component": "ce", "value": 0.1}) for n in range(1_001)]
    world = World(curriculum=lg.Curriculum(*CURRICULUM.stages, operations=planned))
    with pytest.raises(NotPossible, match="more than 1000 changes lie ahead"):
        world.do("scale_weights", step=50, factor=0.5)
    assert world.do("set_weight", step=50, component="ce", value=0.5)["new"] == 0.5
