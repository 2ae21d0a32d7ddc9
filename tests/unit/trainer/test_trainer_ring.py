"""The way of a step's numbers to the host, with events that land when the test says so."""

import numpy as np
import pytest
import torch

from lossguard.ring import DirectCopy, PinnedRing, host_copy_for


class FakeEvent:
    """Stands for torch.cuda.Event; `landed` is set by the test, or by a wait."""

    def __init__(self) -> None:
        self.landed = False
        self.waits = 0

    def record(self) -> None:
        self.landed = False

    def query(self) -> bool:
        return self.landed

    def synchronize(self) -> None:
        self.waits += 1
        self.landed = True


class World:
    """A ring of `slots`, the events and slots that it made, and what has arrived."""

    def __init__(self, slots: int = 3) -> None:
        self.events: list[FakeEvent] = []
        self.pinned: list[torch.Tensor] = []
        self.arrived: list[list[float]] = []
        self.ring = PinnedRing(slots, self.pin, self.new_event)

    def pin(self, vector: torch.Tensor) -> torch.Tensor:
        self.pinned.append(torch.empty_like(vector))
        return self.pinned[-1]

    def new_event(self) -> FakeEvent:
        self.events.append(FakeEvent())
        return self.events[-1]

    def push(self, *values: float) -> None:
        vector = torch.tensor(values, dtype=torch.float64)
        self.ring.push(vector, lambda row: self.arrived.append(row.tolist()))


def test_nothing_arrives_before_its_event() -> None:
    world = World()
    world.push(1.0)
    world.ring.harvest()
    assert world.arrived == []
    world.events[0].landed = True
    world.ring.harvest()
    world.ring.harvest()
    assert world.arrived == [[1.0]]
    assert world.events[0].waits == 0


def test_rows_arrive_in_their_order_even_when_a_later_one_lands_first() -> None:
    world = World()
    for value in (1.0, 2.0, 3.0):
        world.push(value)
    world.events[1].landed = True
    world.ring.harvest()
    assert world.arrived == []
    world.events[0].landed = True
    world.ring.harvest()
    assert world.arrived == [[1.0], [2.0]]


def test_a_full_ring_waits_for_the_oldest_and_for_no_other() -> None:
    world = World(slots=2)
    world.push(1.0)
    world.push(2.0)
    world.push(3.0)
    assert world.arrived == [[1.0]]
    assert [event.waits for event in world.events] == [1, 0]


def test_slots_are_used_again_and_what_was_handed_over_does_not_change() -> None:
    world = World(slots=2)
    rows: list[np.typing.NDArray[np.float64]] = []
    for step in range(20):
        world.ring.push(torch.tensor([float(step), -0.0], dtype=torch.float64), rows.append)
    world.ring.harvest(wait=True)
    assert (len(world.pinned), len(world.events)) == (2, 2)
    assert [row.tolist() for row in rows] == [[float(step), -0.0] for step in range(20)]


def test_each_width_has_slots_of_its_own() -> None:
    world = World(slots=4)
    world.push(1.0)
    world.push(2.0, 2.5)
    world.ring.harvest(wait=True)
    world.push(3.0, 3.5)
    world.push(4.0)
    world.ring.harvest(wait=True)
    assert world.arrived == [[1.0], [2.0, 2.5], [3.0, 3.5], [4.0]]
    assert len(world.pinned) == 2


def test_a_harvest_that_waits_leaves_nothing() -> None:
    world = World(slots=8)
    for step in range(5):
        world.push(float(step))
    world.ring.harvest(wait=True)
    assert world.arrived == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    world.ring.harvest(wait=True)
    assert len(world.arrived) == 5


def test_a_row_whose_receiver_fails_is_gone_and_the_next_one_arrives() -> None:
    world = World()

    def fail(row: object) -> None:
        raise RuntimeError("full")

    world.ring.push(torch.zeros(1), fail)
    world.push(2.0)
    with pytest.raises(RuntimeError, match="full"):
        world.ring.harvest(wait=True)
    world.ring.harvest(wait=True)
    assert world.arrived == [[2.0]]


def test_on_the_cpu_a_row_arrives_at_once_as_float64() -> None:
    copy = host_copy_for(torch.device("cpu"))
    assert isinstance(copy, DirectCopy)
    rows: list[np.typing.NDArray[np.float64]] = []
    vector = torch.tensor([1.5, float("nan")])
    copy.push(vector, rows.append)
    vector.zero_()
    copy.harvest(wait=True)
    assert rows[0].dtype == np.float64
    assert rows[0][0] == 1.5
    assert np.isnan(rows[0][1])
    assert isinstance(host_copy_for(torch.device("cuda")), PinnedRing)
