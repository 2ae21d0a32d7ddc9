"""Host memory that is allocated once, and the order of copies, marks and waits."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from helpers import examples
from lossguard.snapshots import ring
from lossguard.snapshots.ring import Copies, HostBlocks, PlainCopy, SideCopy, bytes_needed
from lossguard.snapshots.tree import Region


def regions(*sizes: int, beside: bool = True) -> list[Region]:
    return [Region(size, beside, torch.randint(0, 256, (size,), dtype=torch.uint8)) for size in sizes]


def content(region: Region) -> list[int]:
    return [value for piece in region.pieces for value in piece.tolist()]


@examples(100)
@given(st.lists(st.integers(0, 9000), max_size=12))
def test_every_byte_has_its_own_place(sizes: list[int]) -> None:
    blocks, wanted = HostBlocks(block_bytes=4096), regions(*sizes)
    blocks.reserve(bytes_needed(wanted), pinned=False)
    blocks.place(wanted)
    pieces = [piece for region in wanted for piece in region.pieces]
    taken = sorted((piece.data_ptr(), piece.data_ptr() + piece.numel()) for piece in pieces)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(taken))
    assert all(region.pieces == [] or region.pieces[0].data_ptr() % 64 == 0 for region in wanted)
    sources = [region.source.tolist() for region in wanted if region.source is not None]
    PlainCopy().take(wanted)
    assert [content(region) for region in wanted] == sources


def test_memory_is_allocated_once_and_grows_by_what_is_missing() -> None:
    blocks = HostBlocks(block_bytes=1 << 16)
    blocks.reserve(100_000, pinned=False)
    first = [block.data_ptr() for block in blocks._blocks]
    assert blocks.nbytes == (1 << 16) + (1 << 16)
    blocks.reserve(90_000, pinned=False)
    assert [block.data_ptr() for block in blocks._blocks] == first
    blocks.reserve(140_000, pinned=False)
    assert [block.data_ptr() for block in blocks._blocks][:2] == first
    assert blocks.nbytes == (1 << 17) + (1 << 14)


def test_little_is_wasted() -> None:
    blocks = HostBlocks()
    blocks.reserve(3 * ring.BLOCK_BYTES + 5000, pinned=False)
    assert blocks.nbytes == 3 * ring.BLOCK_BYTES + 8192


class FakeSide:
    """Writes down what is queued, and where."""

    def __init__(self) -> None:
        self.queued: list[str] = []
        self.queue, self.done = "main", False

    @contextmanager
    def after_main(self) -> Iterator[None]:
        self.queued.append("side waits for main")
        self.queue = "side"
        yield
        self.queue = "main"

    def mark(self) -> None:
        self.queued.append(f"mark on {self.queue}")

    def is_done(self) -> bool:
        return self.done

    def hold_main(self) -> None:
        self.queued.append("main waits for the mark")


@pytest.fixture
def side(monkeypatch: pytest.MonkeyPatch) -> FakeSide:
    fake = FakeSide()

    def copy(host: Sequence[Tensor], live: Sequence[Tensor], non_blocking: bool) -> None:
        kind = "copy" if non_blocking else "blocking copy"
        fake.queued.append(f"{kind} of {sum(part.numel() for part in live)} bytes on {fake.queue}")
        for to, source in zip(host, live, strict=True):
            to.copy_(source)

    monkeypatch.setattr(torch, "_foreach_copy_", copy)
    return fake


def placed(*found: Region) -> list[Region]:
    blocks = HostBlocks()
    blocks.reserve(bytes_needed(found), pinned=False)
    blocks.place(found)
    return list(found)


def test_what_a_forward_pass_may_write_is_copied_in_line_and_the_rest_beside(side: FakeSide) -> None:
    copy = SideCopy(side)
    copy.take(placed(*regions(100, 11), *regions(7, beside=False)))
    assert side.queued == [
        "copy of 7 bytes on main", "side waits for main", "copy of 111 bytes on side", "mark on side",
    ]  # fmt: skip


def test_the_next_update_waits_once_and_only_then_the_live_memory_is_let_go(side: FakeSide) -> None:
    copy, found = SideCopy(side), placed(*regions(100))
    copy.before_update()
    assert side.queued == []
    copy.take(found)
    assert found[0].source is not None
    assert copy.is_in_flight()
    copy.before_update()
    copy.before_update()
    assert side.queued[3:] == ["main waits for the mark"]
    assert found[0].source is None
    assert not copy.is_in_flight()


def test_it_has_arrived_when_the_device_says_so(side: FakeSide) -> None:
    copy = SideCopy(side)
    assert copy.has_arrived()
    copy.take(placed(*regions(100)))
    assert not copy.has_arrived()
    side.done = True
    assert copy.has_arrived()


def test_each_device_has_its_own_copies_and_all_must_have_arrived(side: FakeSide) -> None:
    made: dict[str, PlainCopy | SideCopy] = {"cpu": PlainCopy(), "meta": SideCopy(side)}
    copies = Copies(lambda device: made[device.type])
    here, there = placed(*regions(10, 20))
    away = Region(0, True, torch.empty(0, dtype=torch.uint8, device="meta"))
    copies.take([here, there, away])
    assert (here.source, there.source) == (None, None)
    assert (copies.have_arrived(), copies.are_in_flight()) == (False, True)
    copies.before_update()
    side.done = True
    assert (copies.have_arrived(), copies.are_in_flight()) == (True, False)
