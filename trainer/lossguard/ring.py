"""Brings one vector of numbers a step from the device to the host, without making the host wait.

Rules of this file:
- On CUDA: slots of pinned memory, allocated once per width; the copy runs on the current stream, and its event is
  queried in the training thread only (a query from another thread can break a graph capture).
- When all slots are in flight, the oldest is waited for: back-pressure with a bounded lag, and the only wait there is.
- On the CPU the numbers are there already. MPS has open corruption bugs with non-blocking copies: it blocks.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SLOTS = 8  # a GPU runs one or two steps behind its host; eight leave room for a hiccup

Arrived = Callable[[npt.NDArray[np.float64]], None]


class HostCopy(Protocol):
    """Takes vectors, and hands each to its `arrived` once it is on the host, in order."""

    def push(self, vector: Tensor, arrived: Arrived) -> None: ...

    def harvest(self, wait: bool = False) -> None: ...


class DeviceEvent(Protocol):
    """What is used of torch.cuda.Event."""

    def record(self) -> None: ...

    def query(self) -> bool: ...

    def synchronize(self) -> None: ...


class DirectCopy:
    """For devices whose numbers are at hand (CPU) or must be waited for (MPS)."""

    def push(self, vector: Tensor, arrived: Arrived) -> None:
        """Call `arrived` at once."""
        arrived(vector.cpu().numpy().astype(np.float64))

    def harvest(self, wait: bool = False) -> None:
        """Nothing is ever in flight."""


class PinnedRing:
    """For CUDA: asynchronous copies into pinned slots."""

    def __init__(
        self,
        slots: int = SLOTS,
        pin: Callable[[Tensor], Tensor] = lambda vector: torch.empty_like(vector, device="cpu", pin_memory=True),
        new_event: Callable[[], DeviceEvent] = torch.cuda.Event,
    ) -> None:
        self._slots = slots
        self._pin, self._new_event = pin, new_event
        self._flying: deque[tuple[DeviceEvent, Tensor, Arrived]] = deque()
        self._free: dict[int, list[tuple[DeviceEvent, Tensor]]] = {}

    def push(self, vector: Tensor, arrived: Arrived) -> None:
        """Start the copy of `vector` [F]; `arrived` is called by a later harvest."""
        if len(self._flying) >= self._slots:
            self._land(wait=True)
        free = self._free.setdefault(vector.numel(), [])
        event, slot = free.pop() if free else (self._new_event(), self._pin(vector))
        slot.copy_(vector, non_blocking=True)
        event.record()
        self._flying.append((event, slot, arrived))

    def harvest(self, wait: bool = False) -> None:
        """Hand over what has landed; with `wait`, everything."""
        while self._flying and self._land(wait):
            pass

    def _land(self, wait: bool) -> bool:
        event, slot, arrived = self._flying[0]
        if wait:
            event.synchronize()
        elif not event.query():
            return False
        self._flying.popleft()
        values = slot.numpy().astype(np.float64, copy=True)
        self._free[slot.numel()].append((event, slot))
        arrived(values)
        return True


def host_copy_for(device: torch.device) -> HostCopy:
    """The way of getting numbers from `device` to the host."""
    return PinnedRing() if device.type == "cuda" else DirectCopy()
