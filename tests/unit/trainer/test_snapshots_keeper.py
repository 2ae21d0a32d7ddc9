"""When snapshots are taken, trusted, dropped and restored, and what is said when they cannot be."""

import math
from collections.abc import Iterable, Sequence

import pytest
import torch
from torch import nn

from lossguard.snapshots import ring
from lossguard.snapshots.keeper import NoSnapshots, Restored, SnapshotKeeper
from lossguard.snapshots.options import Snapshots
from lossguard.snapshots.ring import Copies, PlainCopy
from lossguard.snapshots.state import TrainingState
from lossguard.snapshots.tree import Region


class World:
    """A weight that holds the number of the step before which it is; a clock that moves by `stall_s` at each look."""

    def __init__(self, options: Snapshots, free_gib: float = 100.0, stall_s: float = 0.0) -> None:
        self.net = nn.Linear(1, 1, bias=False)
        self.opt = torch.optim.SGD(self.net.parameters(), lr=1.0)
        self.told: list[str] = []
        self.now_s, self.stall_s, self.free_bytes = 0.0, stall_s, int(free_gib * 2**30)
        self.asked = 0
        self.state = TrainingState(self.net, self.opt)
        self.keeper = SnapshotKeeper(options, self.state, self.clock, self.free, self.told.append, self.copies())

    def copies(self) -> Copies:
        return Copies()

    def clock(self) -> float:
        self.now_s += self.stall_s
        return self.now_s

    def free(self) -> int:
        self.asked += 1
        return self.free_bytes

    def walk(self, steps: Iterable[int], step_time_s: float = 0.1) -> "World":
        for step in steps:
            self.net.weight.data.fill_(float(step))
            self.keeper.at_boundary(step, step_time_s)
            self.keeper.before_update()
        return self

    def healthy(self) -> list[int]:
        found, before = [], None
        while (before := self.keeper.newest_step(before)) is not None:
            found.append(before)
        return found


FAST = Snapshots(every=10, healthy_after=5, slots=2)


def test_a_snapshot_is_trusted_after_its_probation() -> None:
    world = World(FAST)
    assert world.walk(range(5)).keeper.newest_step() is None
    assert world.keeper.restore() is None
    assert world.walk([5]).keeper.newest_step() == 0


def test_so_many_are_kept_and_their_memory_with_them() -> None:
    world = World(FAST).walk(range(100))
    assert world.healthy() == [90, 80]
    assert len(world.keeper._blocks) == 3
    assert len({id(snapshot.blocks) for snapshot in world.keeper._shelf.contents()}) == len(
        world.keeper._shelf.contents()
    )


def test_a_restore_goes_to_the_newest_before_and_forgets_the_future() -> None:
    world = World(FAST).walk(range(37))
    assert world.healthy() == [30, 20]
    assert world.keeper.restore(before=30) == Restored(20, None)
    assert world.net.weight.item() == 20.0
    assert world.healthy() == [20]
    assert world.keeper.restore(before=20) is None
    assert world.net.weight.item() == 20.0


def test_after_a_restore_the_interval_starts_again_from_there() -> None:
    world = World(FAST).walk(range(37))
    world.keeper.restore(before=30)
    world.walk(range(20, 36))
    assert world.healthy() == [30, 20]


def test_an_unhealthy_step_drops_the_candidate_and_the_next_one_starts_anew() -> None:
    world = World(FAST).walk(range(13))
    world.keeper.unhealthy(12)
    assert world.walk(range(13, 25)).healthy() == [0]
    assert world.walk(range(25, 26)).healthy() == [20, 0]


def test_a_run_that_is_unhealthy_at_each_step_takes_no_more_snapshots_than_another() -> None:
    world = World(Snapshots(every=10, healthy_after=2))
    taken = []
    for step in range(100):
        world.keeper.unhealthy(step - 1)
        world.walk([step])
        taken += [step] if world.keeper._shelf.candidate is not None else []
    assert taken == list(range(0, 100, 10))


def test_an_interval_below_the_probation_waits_for_it() -> None:
    world = World(Snapshots(every=2, healthy_after=7, slots=3)).walk(range(22))
    assert world.healthy() == [14, 7, 0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_state_that_is_not_finite_is_never_trusted(value: float) -> None:
    world = World(FAST).walk(range(10))
    world.net.weight.data.fill_(value)
    world.keeper.at_boundary(10, 0.1)
    assert world.walk(range(11, 17)).healthy() == [0]
    assert world.told == ["a snapshot was dropped before step 15: a parameter or an optimizer state is not finite."]


def test_masks_of_minus_infinity_are_in_order() -> None:
    world = World(FAST)
    world.net.register_buffer("mask", torch.full((3, 3), -math.inf).triu(1))
    world.net.register_parameter("frozen_mask", nn.Parameter(torch.full((3,), -math.inf), requires_grad=False))
    assert world.walk(range(6)).healthy() == [0]


def test_the_interval_is_tuned_to_the_measured_stall() -> None:
    # four looks at the clock a take, two stretches of 19.9 ms; 39.8 ms of 0.5 % of 0.1 s: 79.6 steps
    world = World(Snapshots(healthy_after=5), stall_s=0.0199)
    taken = [step for step in range(200) if world.walk([step]).now_s > 0 and _just_taken(world, step)]
    assert taken == [0, 80, 160]


def _just_taken(world: World, step: int) -> bool:
    candidate = world.keeper._shelf.candidate
    return candidate is not None and candidate.step == step


def test_too_little_memory_is_said_once_and_nothing_is_kept() -> None:
    world = World(FAST, free_gib=0.0).walk(range(30))
    assert (world.healthy(), world.keeper.restore(), world.asked) == ([], None, 1)
    assert len(world.told) == 1
    assert world.told[0].startswith("snapshots are off: 3 copies of the training state take ")


def test_twice_the_memory_is_enough_and_a_byte_less_is_not() -> None:
    need = 3 * 64  # one weight takes one aligned place
    for free_bytes, kept in ((2 * need, [0]), (2 * need - 1, [])):
        world = World(FAST)
        world.free_bytes = free_bytes
        assert world.walk(range(6)).healthy() == kept


def test_memory_is_asked_for_again_when_the_state_has_grown() -> None:
    world = World(FAST).walk(range(16))
    assert (world.healthy(), world.asked) == ([10, 0], 1)
    world.opt.state[world.net.weight]["momentum_buffer"] = torch.zeros(1_000_000)
    world.free_bytes = 1_000_000
    assert world.walk(range(16, 40)).healthy() == []
    assert [text[:17] for text in world.told] == ["snapshots are off"]
    assert world.keeper._blocks == []


def test_memory_that_is_refused_switches_them_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("CUDA error: out of memory")

    world = World(FAST)
    monkeypatch.setattr(ring.HostBlocks, "reserve", refuse)
    assert world.walk(range(20)).healthy() == []
    assert len(world.told) == 1
    assert world.told[0].endswith("host memory, and it was refused: CUDA error: out of memory.")


def test_a_state_that_cannot_be_copied_yet_is_tried_again() -> None:
    world = World(FAST)
    late = nn.Linear(2, 2, device="meta")
    world.net.add_module("late", late)
    world.walk(range(12))
    assert world.told == [
        "no snapshot before step 0: the parameter late.weight cannot be copied: "
        "it is on the meta device and has no values."
    ]
    late.to_empty(device="cpu")
    nn.init.ones_(late.weight)
    nn.init.ones_(late.bias)
    assert world.walk(range(12, 30)).healthy() == [20]


def test_an_obstacle_is_told_and_leaves_everything_as_it_is() -> None:
    world = World(FAST).walk(range(17))
    world.net.weight.data = torch.full((2, 1), 5.0)
    assert world.keeper.restore() is None
    assert world.told == [
        "no rollback to step 10: the parameter weight was float32 [1, 1] and is another kind of tensor now. "
        "Training goes on as it is."
    ]
    assert (world.net.weight.tolist(), world.healthy()) == ([[5], [5]], [10, 0])


def test_what_was_added_since_is_told() -> None:
    world = World(FAST).walk(range(17))
    world.opt.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    assert world.keeper.restore() == Restored(10, None)
    assert world.told == [
        "the rollback to step 10 leaves the parameter 1 of the optimizer as it is: it was added after that step.",
        "the rollback to step 10 leaves 1 parameter group of the optimizer as it is: it was added after that step.",
    ]


class SlowCopy(PlainCopy):
    """A device whose copies arrive when the test says so."""

    arrived = False
    pending = False

    def take(self, regions: Sequence[Region]) -> None:
        super().take(regions)
        self.pending = True

    def has_arrived(self) -> bool:
        return self.arrived

    def is_in_flight(self) -> bool:
        return self.pending

    def before_update(self) -> None:
        self.pending = False


class SlowWorld(World):
    def copies(self) -> Copies:
        self.copy = SlowCopy()
        return Copies(lambda device: self.copy)


def test_a_copy_that_has_not_arrived_is_waited_for_at_later_boundaries() -> None:
    world = SlowWorld(FAST)
    assert world.walk(range(8)).healthy() == []
    world.copy.arrived = True
    assert world.walk([8]).healthy() == [0]


def test_an_update_that_did_not_wait_for_the_copy_costs_the_snapshot() -> None:
    world = SlowWorld(FAST)
    world.copy.arrived = True
    world.keeper.at_boundary(0, 0.1)  # and no before_update: a replayed graph calls no hook
    assert world.walk(range(1, 16)).healthy() == [10]
    assert world.told == ["a snapshot was dropped: no optimizer step was seen after it was begun."]


def test_a_run_without_snapshots_has_the_same_surface() -> None:
    keeper = NoSnapshots()
    keeper.at_boundary(0, 0.1)
    keeper.before_update()
    keeper.unhealthy(0)
    assert (keeper.newest_step(), keeper.restore()) == (None, None)
