"""Moves the bytes of a training state into host memory that is allocated once, and back, without a wait of the host.

Rules of this file:
- Host memory comes in blocks that are filled from the start at each take; only growth allocates. On CUDA they are
  pinned: allocation may synchronise, so it happens at the first takes and never again.
- On CUDA what only the optimizer writes is copied on a side stream, while the next forward pass runs; the main stream
  waits for it on the device, before the next update. What a forward pass may write (buffers) is copied in line.
- Events are asked in the training thread only (a query from another thread can break a graph capture).
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor

from .tree import Region

BLOCK_BYTES = 1 << 26  # PyTorch pins powers of two: in blocks of 64 MiB at most the last one is rounded up
_ALIGN_BYTES = 64  # for any dtype's view, and a cache line


class HostBlocks:
    """The host memory of one snapshot."""

    def __init__(self, block_bytes: int = BLOCK_BYTES) -> None:
        self._block_bytes = block_bytes
        self._blocks: list[Tensor] = []
        self._pinned = False

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return sum(block.numel() for block in self._blocks)

    def reserve(self, nbytes: int, pinned: bool) -> None:
        """Allocate what is missing, and touch it, so that the first copy is not the one that faults the pages in."""
        if pinned != self._pinned:
            self._blocks, self._pinned = [], pinned
        while (missing := nbytes - self.nbytes) > 0:
            size = min(self._block_bytes, 1 << max(12, (missing - 1).bit_length()))
            block = torch.empty(size, dtype=torch.uint8, pin_memory=pinned)
            self._blocks.append(block if pinned else block.zero_())

    def place(self, regions: Iterable[Region]) -> None:
        """Give each region its pieces, from the start of the memory on. `reserve` came first."""
        at, offset = 0, 0
        for region in regions:
            region.pieces, left = [], region.nbytes
            while left:
                block = self._blocks[at]
                piece = block[offset : offset + left]
                region.pieces.append(piece)
                left -= piece.numel()
                offset += _aligned(piece.numel())
                if offset >= block.numel():
                    at, offset = at + 1, 0


def bytes_needed(regions: Iterable[Region]) -> int:
    """What `place` takes for them."""
    return sum(_aligned(region.nbytes) for region in regions)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // _ALIGN_BYTES) * _ALIGN_BYTES


class DeviceCopy(Protocol):
    """Copies between one device and the host."""

    def take(self, regions: Sequence[Region]) -> None: ...

    def has_arrived(self) -> bool: ...

    def is_in_flight(self) -> bool: ...

    def before_update(self) -> None: ...


class PlainCopy:
    """For devices whose memory is at hand (CPU), or whose non-blocking copies cannot be trusted (MPS)."""

    def take(self, regions: Sequence[Region]) -> None:
        """Copy now."""
        _copy_to_host(regions, non_blocking=False)
        for region in regions:
            region.source = None

    def has_arrived(self) -> bool:
        """Always: nothing is ever in flight."""
        return True

    def is_in_flight(self) -> bool:
        """Never."""
        return False

    def before_update(self) -> None:
        """Nothing to wait for."""


class Side(Protocol):
    """A queue of a device's work beside the main one, on which training is queued. Nothing here makes the host wait."""

    def after_main(self) -> AbstractContextManager[object]:
        """Inside, work is queued beside; it begins after what is on the main queue now."""

    def mark(self) -> None:
        """What is queued beside until now is what `is_done` and `hold_main` speak of."""

    def is_done(self) -> bool:
        """True when everything up to the mark is done."""

    def hold_main(self) -> None:
        """What is queued on the main queue from here on begins after the mark."""


class CudaSide:
    """A side stream of one CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream, self._done = torch.cuda.Stream(device), torch.cuda.Event()

    def after_main(self) -> AbstractContextManager[object]:
        """See Side."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        return torch.cuda.stream(self._stream)

    def mark(self) -> None:
        """See Side."""
        self._done.record(self._stream)

    def is_done(self) -> bool:
        """See Side."""
        return bool(self._done.query())

    def hold_main(self) -> None:
        """See Side."""
        torch.cuda.current_stream(self._device).wait_event(self._done)


class SideCopy:
    """For CUDA: copies beside training, which the next update waits for on the device."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._has_begun = False
        self._in_flight: list[Region] = []

    def take(self, regions: Sequence[Region]) -> None:
        """Queue the copies of the regions as they are at this point of the main queue."""
        _copy_to_host([region for region in regions if not region.beside], non_blocking=True)
        with self._side.after_main():
            _copy_to_host([region for region in regions if region.beside], non_blocking=True)
            self._side.mark()
        self._has_begun = True
        self._in_flight = list(regions)

    def has_arrived(self) -> bool:
        """True when the last take is in host memory, and all that was on the main queue before it is done."""
        return not self._has_begun or self._side.is_done()

    def is_in_flight(self) -> bool:
        """True from a take to the next `before_update`."""
        return bool(self._in_flight)

    def before_update(self) -> None:
        """What is queued on the main queue from here on comes after the copies. The host does not wait."""
        if not self._in_flight:
            return
        self._side.hold_main()
        for region in self._in_flight:
            region.source = None  # held until here: memory that is freed while it is copied must not be used again
        self._in_flight = []


def copy_for(device: torch.device) -> DeviceCopy:
    """The way of copying from `device`."""
    return SideCopy(CudaSide(device)) if device.type == "cuda" else PlainCopy()


class Copies:
    """The copies of all devices of a training state."""

    def __init__(self, copy_for: Callable[[torch.device], DeviceCopy] = copy_for) -> None:
        self._copy_for = copy_for
        self._by_device: dict[torch.device, DeviceCopy] = {}

    def take(self, regions: Sequence[Region]) -> None:
        """Copy the sources of the regions into their pieces, or queue it."""
        by_device: dict[torch.device, list[Region]] = {}
        for region in regions:
            if region.source is not None:
                by_device.setdefault(region.source.device, []).append(region)
        for device, its_regions in by_device.items():
            if device not in self._by_device:
                self._by_device[device] = self._copy_for(device)
            self._by_device[device].take(its_regions)

    def have_arrived(self) -> bool:
        """True when everything that was taken is in host memory."""
        return all(copy.has_arrived() for copy in self._by_device.values())

    def are_in_flight(self) -> bool:
        """True when no `before_update` came after the last take, and something is being copied."""
        return any(copy.is_in_flight() for copy in self._by_device.values())

    def before_update(self) -> None:
        """The next update of the state comes after what is still being copied."""
        for copy in self._by_device.values():
            copy.before_update()


def _copy_to_host(regions: Sequence[Region], non_blocking: bool) -> None:
    host: list[Tensor] = []
    live: list[Tensor] = []
    for region in regions:
        if region.source is not None and region.nbytes:
            host += region.pieces
            live += parts_of(region.source, region.pieces)
    if host:
        torch._foreach_copy_(host, live, non_blocking=non_blocking)


def parts_of(memory: Tensor, pieces: Sequence[Tensor]) -> Sequence[Tensor]:
    """`memory` (uint8) in parts as long as the pieces."""
    return [memory] if len(pieces) == 1 else torch.split(memory, [piece.numel() for piece in pieces])
