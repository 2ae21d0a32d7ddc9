"""Brings a step's numbers from the device to the host once, without making the host wait.

Rules of this file:
- On CUDA: rows on the device and rows in pinned memory, allocated once per layout; all on the current stream. Events
  are queried in the training thread only (a query from another thread can break a graph capture), at a harvest.
- When all rows are in flight, the oldest is waited for: back-pressure with a bounded lag, and the only wait there is.
- On the CPU the numbers are there already. MPS has open corruption bugs with non-blocking copies: every fifth step it
  blocks, and brings five. So does every other device, of which nothing is known.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SLOTS = 8  # a GPU runs one or two steps behind its host; eight leave room for a hiccup
LAYOUTS_MAX = 64  # a user who logs other names each step must not pin more memory with each
ROWS_A_COPY = 5

Row = npt.NDArray[np.float64]
Arrived = Callable[[Row], None]
Parts = Sequence[Tensor] | Tensor  # a tensor alone is a list of one


class HostCopy(Protocol):
    """Takes a step's numbers, and hands them as one row to its `arrived` once they are on the host, in order."""

    def push(self, parts: Parts, arrived: Arrived) -> None:
        """`parts`: real tensors of any shape, dtype and device, at least one; the row has them one after the other."""

    def harvest(self, wait: bool = False) -> None:
        """Hand over what has landed; with `wait`, everything."""


class DeviceEvent(Protocol):
    """A mark in a device's stream."""

    def record(self) -> None: ...

    def query(self) -> bool: ...

    def synchronize(self) -> None: ...


class DirectCopy:
    """For the CPU: the row is handed over at once."""

    def push(self, parts: Parts, arrived: Arrived) -> None:
        """See HostCopy."""
        arrived(_read(_listed(parts)))

    def harvest(self, wait: bool = False) -> None:
        """Nothing is ever in flight."""


class CudaEvent:
    """A torch.cuda.Event in the current stream of `device`; by itself it would take that of the current device."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._event = device, torch.cuda.Event()
        self.query, self.synchronize = self._event.query, self._event.synchronize

    def record(self) -> None:
        """Mark what has been launched so far."""
        self._event.record(torch.cuda.current_stream(self._device))


class BatchedCopy:
    """For MPS: rows stay on the device, `every` of them are brought by one copy that blocks."""

    def __init__(self, device: torch.device, every: int = ROWS_A_COPY) -> None:
        self._device, self._every = device, every
        self._flying: list[tuple[Tensor, Arrived]] = []
        self._landed: deque[tuple[Row, Arrived]] = deque()

    def push(self, parts: Parts, arrived: Arrived) -> None:
        """See HostCopy. The row is rounded to float32, because MPS has no float64."""
        with torch.no_grad():
            row = torch.cat([part.reshape(-1).to(self._device, torch.float32) for part in _listed(parts)])
        self._flying.append((row, arrived))

    def harvest(self, wait: bool = False) -> None:
        """See HostCopy."""
        if len(self._flying) >= (1 if wait else self._every):
            rows, receivers = zip(*self._flying, strict=True)
            self._flying = []
            values = torch.cat(rows).cpu().numpy().astype(np.float64)
            ends = np.cumsum([row.numel() for row in rows])[:-1]
            self._landed.extend(zip(np.split(values, ends), receivers, strict=True))
        while self._landed:
            values, arrived = self._landed.popleft()
            arrived(values)


@dataclass(frozen=True)
class Layout:
    """The rows of one layout, [slots, width], and what is done to fill one."""

    groups: list[list[int]]  # parts that one launch copies: of one dtype, from one device
    views: list[list[list[Tensor]]]  # [slot][group][part]: where in a row each of them goes
    on_host: list[tuple[int, int, int]]  # (part, start, end) of those that the host can read itself
    device_rows: list[Tensor]
    pinned_rows: list[Tensor]
    pinned_values: Row  # the same memory
    events: list[DeviceEvent]
    free: list[int]


class PinnedRing:
    """For CUDA: one launch a dtype gathers the parts, and one asynchronous copy brings the row into pinned memory."""

    def __init__(
        self,
        device: torch.device,
        slots: int = SLOTS,
        pin: Callable[[Tensor], Tensor] = lambda rows: torch.empty_like(rows, device="cpu", pin_memory=True),
        new_event: Callable[[torch.device], DeviceEvent] = CudaEvent,
    ) -> None:
        self._device, self._slots = device, slots
        self._pin, self._new_event = pin, new_event
        self._flying: deque[tuple[Layout, int, list[tuple[int, int, Row]], Arrived]] = deque()
        self._layouts: dict[tuple[object, ...], Layout] = {}

    def push(self, parts: Parts, arrived: Arrived) -> None:
        """See HostCopy. Starts the copy; a later harvest calls `arrived`."""
        if len(self._flying) >= self._slots:
            self._land(wait=True)
        parts = _listed(parts)
        layout = self._layout_of(parts)
        slot = layout.free[-1]
        with torch.no_grad():
            for group, views in zip(layout.groups, layout.views[slot], strict=True):
                sources = [parts[i] for i in group]
                if sources[0].device != self._device:
                    sources = [part.to(self._device, non_blocking=True) for part in sources]
                # torch.cat into float64 would launch a kernel for each part
                torch._foreach_copy_(views, sources, non_blocking=True)
            layout.pinned_rows[slot].copy_(layout.device_rows[slot], non_blocking=True)
        layout.events[slot].record()
        known = [(start, end, _read(parts[i : i + 1])) for i, start, end in layout.on_host]
        layout.free.pop()
        self._flying.append((layout, slot, known, arrived))

    def harvest(self, wait: bool = False) -> None:
        """See HostCopy."""
        while self._flying and self._land(wait):
            pass

    def _land(self, wait: bool) -> bool:
        layout, slot, known, arrived = self._flying[0]
        if wait:
            layout.events[slot].synchronize()
        elif not layout.events[slot].query():
            return False
        self._flying.popleft()
        values = layout.pinned_values[slot].copy()
        layout.free.append(slot)
        for start, end, numbers in known:
            values[start:end] = numbers
        arrived(values)
        return True

    def _layout_of(self, parts: Sequence[Tensor]) -> Layout:
        key = tuple([(part.shape, part.dtype, part.device) for part in parts])
        layout = self._layouts.get(key)
        if layout is None:
            if len(self._layouts) >= LAYOUTS_MAX:
                self._layouts.clear()  # what is still in flight holds its own
            layout = self._layouts[key] = self._new_layout(parts)
        return layout

    def _new_layout(self, parts: Sequence[Tensor]) -> Layout:
        ends = np.cumsum([part.numel() for part in parts]).tolist()
        spans = [(end - part.numel(), end) for end, part in zip(ends, parts, strict=True)]
        # a copy of pageable memory to the device could wait, and the host knows these numbers already
        on_host = [i for i, part in enumerate(parts) if part.device.type == "cpu" != self._device.type]
        by_kind: dict[tuple[torch.device, torch.dtype], list[int]] = {}
        for i, part in enumerate(parts):
            if i not in on_host:
                by_kind.setdefault((part.device, part.dtype), []).append(i)
        groups = list(by_kind.values())
        rows = torch.zeros(self._slots, ends[-1], dtype=torch.float64, device=self._device)
        pinned = self._pin(rows)
        return Layout(
            groups=groups,
            views=[[[row[slice(*spans[i])].view(parts[i].shape) for i in g] for g in groups] for row in rows],
            on_host=[(i, *spans[i]) for i in on_host],
            device_rows=list(rows.unbind()),
            pinned_rows=list(pinned.unbind()),
            pinned_values=pinned.numpy(),
            events=[self._new_event(self._device) for _ in range(self._slots)],
            free=list(range(self._slots)),
        )


def host_copy_for(device: torch.device) -> HostCopy:
    """The way of getting numbers from `device` to the host."""
    if device.type == "cuda":
        return PinnedRing(device)
    return DirectCopy() if device.type == "cpu" else BatchedCopy(device)


def _listed(parts: Parts) -> Sequence[Tensor]:
    return (parts,) if isinstance(parts, Tensor) else parts


def _read(parts: Sequence[Tensor]) -> Row:
    """Parts on the CPU as one row. Ten times as fast as torch.cat, which converts each part by a copy of its own."""
    values: list[float] = []
    for part in parts:
        if part.dim() == 0:
            values.append(part.item())
        else:
            values += part.reshape(-1).tolist()
    return np.array(values, dtype=np.float64)
