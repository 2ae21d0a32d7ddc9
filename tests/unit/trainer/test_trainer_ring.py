"""The way of a step's numbers to the host, with events that land when the test says so."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from lossguard.ring import LAYOUTS_MAX, BatchedCopy, DirectCopy, HostCopy, PinnedRing, host_copy_for

CPU = torch.device("cpu")
Row = npt.NDArray[np.float64]


class FakeEvent:
    """Stands for torch.cuda.Event; `landed` is set by the test, or by a wait."""

    def __init__(self, log: "list[FakeEvent]") -> None:
        self.landed = False
        self.waits = 0
        self._log = log

    def record(self) -> None:
        self.landed = False
        self._log.append(self)

    def query(self) -> bool:
        return self.landed

    def synchronize(self) -> None:
        self.waits += 1
        self.landed = True


class World:
    """A ring of `slots`, its events in the order of the rows, the memory that it pinned, and what has arrived."""

    def __init__(self, slots: int = 3) -> None:
        self.rows: list[FakeEvent] = []
        self.pinned: list[Tensor] = []
        self.arrived: list[list[float]] = []
        self.ring = PinnedRing(CPU, slots, self.pin, lambda device: FakeEvent(self.rows))

    def pin(self, rows: Tensor) -> Tensor:
        self.pinned.append(torch.empty_like(rows))
        return self.pinned[-1]

    def push(self, *values: float) -> None:
        self.ring.push([torch.tensor(value) for value in values], self.take)

    def take(self, row: Row) -> None:
        self.arrived.append(row.tolist())


def test_nothing_arrives_before_its_event() -> None:
    world = World()
    world.push(1.0)
    world.ring.harvest()
    assert world.arrived == []
    world.rows[0].landed = True
    world.ring.harvest()
    world.ring.harvest()
    assert world.arrived == [[1.0]]
    assert world.rows[0].waits == 0


def test_rows_arrive_in_their_order_even_when_a_later_one_lands_first() -> None:
    world = World()
    for value in (1.0, 2.0, 3.0):
        world.push(value)
    world.rows[1].landed = True
    world.ring.harvest()
    assert world.arrived == []
    world.rows[0].landed = True
    world.ring.harvest()
    assert world.arrived == [[1.0], [2.0]]


def test_a_full_ring_waits_for_the_oldest_and_for_no_other() -> None:
    world = World(slots=2)
    world.push(1.0)
    world.push(2.0)
    world.push(3.0)
    assert world.arrived == [[1.0]]
    assert [event.waits for event in world.rows] == [1, 0, 1]
    assert world.rows[2] is world.rows[0]


def test_a_ring_that_is_full_of_other_layouts_waits_too() -> None:
    world = World(slots=2)
    for step in range(6):
        world.push(*[float(step)] * (1 + step % 3))
    assert len(world.arrived) == 4


def test_rows_are_used_again_and_what_was_handed_over_does_not_change() -> None:
    world = World(slots=2)
    rows: list[Row] = []
    for step in range(20):
        world.ring.push([torch.tensor(float(step)), torch.tensor([-0.0])], rows.append)
    world.ring.harvest(wait=True)
    assert [tuple(pinned.shape) for pinned in world.pinned] == [(2, 2)]
    assert len({id(event) for event in world.rows}) == 2
    assert [row.tolist() for row in rows] == [[float(step), -0.0] for step in range(20)]
    assert all(np.signbit(row[1]) for row in rows)


def test_a_row_is_not_written_again_while_it_is_in_flight() -> None:
    world = World(slots=4)
    for step in range(4):
        world.push(float(step))
        if step % 2:
            world.rows[step - 1].landed = True
            world.ring.harvest()
    world.ring.harvest(wait=True)
    assert world.arrived == [[0.0], [1.0], [2.0], [3.0]]


def test_each_layout_has_rows_of_its_own() -> None:
    world = World(slots=4)
    world.push(1.0)
    world.push(2.0, 2.5)
    world.ring.harvest(wait=True)
    world.push(3.0, 3.5)
    world.push(4.0)
    world.ring.harvest(wait=True)
    assert world.arrived == [[1.0], [2.0, 2.5], [3.0, 3.5], [4.0]]
    assert len(world.pinned) == 2


def test_layouts_without_end_are_forgotten_and_still_arrive() -> None:
    world = World(slots=3)
    for width in range(1, 2 * LAYOUTS_MAX):
        world.push(*range(width))
    world.ring.harvest(wait=True)
    assert [len(row) for row in world.arrived] == list(range(1, 2 * LAYOUTS_MAX))
    assert len(world.ring._layouts) <= LAYOUTS_MAX


def test_a_harvest_that_waits_leaves_nothing() -> None:
    world = World(slots=8)
    for step in range(5):
        world.push(float(step))
    world.ring.harvest(wait=True)
    assert world.arrived == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    world.ring.harvest(wait=True)
    assert len(world.arrived) == 5


def test_a_row_that_cannot_be_gathered_costs_no_slot() -> None:
    world = World(slots=2)
    for _ in range(5):
        with pytest.raises(RuntimeError):
            world.ring.push([torch.zeros(2).to_sparse()], world.take)
    for step in range(5):
        world.push(float(step))
    world.ring.harvest(wait=True)
    assert len(world.arrived) == 5


@pytest.mark.parametrize("copy", [World().ring, BatchedCopy(CPU, every=1)])
def test_a_row_whose_receiver_fails_is_gone_and_the_next_one_arrives(copy: HostCopy) -> None:
    def fail(row: object) -> None:
        raise RuntimeError("full")

    rows: list[Row] = []
    copy.push([torch.zeros(1)], fail)
    copy.push([torch.tensor(2.0)], rows.append)
    with pytest.raises(RuntimeError, match="full"):
        copy.harvest(wait=True)
    copy.harvest(wait=True)
    assert [row.tolist() for row in rows] == [[2.0]]


def parts_of_every_kind() -> tuple[list[Tensor], list[float]]:
    """What a step may hold, and the row that it is; float32 holds each of the numbers."""
    parts = [
        torch.tensor(1.5),
        torch.tensor(float("nan")),
        torch.tensor([1.0, -0.0, float("-inf")], dtype=torch.bfloat16),
        torch.tensor(True),
        torch.tensor([[2, 3], [4, 5]]),
        torch.tensor(0.25, dtype=torch.float64),
        torch.tensor(7, dtype=torch.uint8),
        torch.arange(8.0)[::2],
        torch.tensor(2.0).expand(2),
        torch.tensor(3.0, dtype=torch.float16, requires_grad=True) * 2,
        torch.zeros(0),
        torch.tensor(8.0).requires_grad_(),
    ]
    return parts, [1.5, np.nan, 1, -0.0, -np.inf, 1, 2, 3, 4, 5, 0.25, 7, 0, 2, 4, 6, 2, 2, 6, 8]


@pytest.mark.parametrize("copy", [DirectCopy(), World().ring, BatchedCopy(CPU)])
def test_parts_of_every_dtype_and_shape_make_one_row_of_float64(copy: HostCopy) -> None:
    parts, wanted = parts_of_every_kind()
    rows: list[Row] = []
    copy.push(parts, rows.append)
    copy.harvest(wait=True)
    assert (len(rows), rows[0].dtype) == (1, np.float64)
    np.testing.assert_array_equal(rows[0], np.array(wanted))
    assert np.signbit(rows[0][3])


@pytest.mark.parametrize("copy", [DirectCopy(), World().ring])
def test_a_count_is_exact_far_beyond_float32(copy: HostCopy) -> None:
    rows: list[Row] = []
    copy.push([torch.tensor(2**53 - 1), torch.tensor(0.1, dtype=torch.float64)], rows.append)
    copy.harvest(wait=True)
    assert rows[0].tolist() == [2**53 - 1, 0.1]


@pytest.mark.parametrize("copy", [DirectCopy(), World().ring, BatchedCopy(CPU)])
def test_what_happens_to_a_part_later_does_not_reach_its_row(copy: HostCopy) -> None:
    vector, number = torch.tensor([1.5, 2.5]), torch.tensor(3.5)
    rows: list[Row] = []
    copy.push([vector, number], rows.append)
    vector.zero_()
    number.zero_()
    copy.harvest(wait=True)
    assert rows[0].tolist() == [1.5, 2.5, 3.5]


def test_on_the_cpu_a_row_arrives_at_once() -> None:
    rows: list[Row] = []
    DirectCopy().push(torch.tensor([1.5, 2.0]), rows.append)
    assert rows[0].tolist() == [1.5, 2.0]


def test_rows_are_brought_five_at_a_time_and_in_order() -> None:
    copy, rows = BatchedCopy(CPU, every=5), list[Row]()
    arrived = []
    for step in range(13):
        copy.push([torch.full((1 + step % 2,), float(step)), torch.tensor(0.5)], rows.append)
        copy.harvest()
        arrived.append(len(rows))
    assert arrived == [0, 0, 0, 0, 5, 5, 5, 5, 5, 10, 10, 10, 10]
    copy.harvest(wait=True)
    copy.harvest(wait=True)
    assert [row.tolist() for row in rows] == [[float(step)] * (1 + step % 2) + [0.5] for step in range(13)]


def test_each_kind_of_device_has_its_way() -> None:
    kinds = {"cpu": DirectCopy, "cuda": PinnedRing, "mps": BatchedCopy, "xpu": BatchedCopy}
    assert {name: type(host_copy_for(torch.device(name))) for name in kinds} == kinds
