"""The last 256 steps in full detail, kept on the device and sent only with a trip.

Rules of this file: one small copy a step on the device, nothing to the host until a trip. What was sent is not sent
again, and what brought it is let go. Rows of the frame carry their own, earlier steps.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .protocol import names
from .ring import CudaEvent, DeviceEvent

STEPS = 256
INDICES_MAX = 64  # where each step reaches other parameters, each of them would leave an index for ever
PARAMETERS_MAX = 4_096  # 4 MiB a ring in float32; beyond it the groups must do

AddRow = Callable[[int, tuple[str, ...], Any], None]
Landing = tuple[Tensor, DeviceEvent | None]  # on the host; None: it is there already


@dataclass(frozen=True)
class Flight:
    """Rows [steps, parameters] on their way to the host, and of each its step and the parameters it has."""

    rows: Tensor
    event: DeviceEvent | None
    kept: list[tuple[int, tuple[int, ...]]]


def bring(pieces: Sequence[Tensor]) -> Landing:
    """The rows [n, width] of all pieces, on the host; from CUDA without waiting."""
    device = pieces[0].device
    if device.type != "cuda":
        return torch.cat([piece.cpu() for piece in pieces]), None
    rows = sum(len(piece) for piece in pieces)
    host = torch.empty(rows, pieces[0].shape[1], dtype=pieces[0].dtype, device="cpu", pin_memory=True)
    at = 0
    for piece in pieces:
        host[at : at + len(piece)].copy_(piece, non_blocking=True)
        at += len(piece)
    event = CudaEvent(device)
    event.record()
    return host, event


class FreezeFrame:
    """Norms of every parameter's gradient over the last steps. `add_row`: (step, names, values)."""

    def __init__(
        self,
        parameters: Sequence[str],
        add_row: AddRow,
        steps: int = STEPS,
        bring: Callable[[Sequence[Tensor]], Landing] = bring,
    ) -> None:
        self._parameters, self._add_row, self._steps, self._bring = parameters, add_row, steps, bring
        self._ring: Tensor | None = None
        self._kept: deque[tuple[int, tuple[int, ...]]] = deque(maxlen=steps)  # (step, present), oldest first
        self._batches: deque[tuple[int, int]] = deque(maxlen=steps)
        self._flights: deque[Flight] = deque()
        self._index: dict[tuple[int, ...], Tensor] = {}
        self._count = 0
        self.sent_to = -1  # the last step whose norms went out

    def keep(self, step: int, present: tuple[int, ...], each: Tensor) -> None:
        """The norms [len(present)] of one step."""
        width = len(self._parameters)
        if not width or width > PARAMETERS_MAX:
            return
        if self._ring is None or self._ring.shape[1] != width:  # a parameter joined later
            self._ring = torch.zeros(self._steps, width, dtype=each.dtype, device=each.device)
            self._kept.clear()
            self._count = 0
        with torch.no_grad():
            row = self._ring[self._count % self._steps]
            if len(present) == width and present == tuple(range(width)):
                row.copy_(each, non_blocking=True)
            else:
                row.index_copy_(0, self._index_of(present, each.device), each.to(row.dtype))
        self._count += 1
        self._kept.append((step, present))

    def batch(self, step: int, number: int) -> None:
        """Batch `number` of this run is one of step `step`; the first one of each step is remembered."""
        if not self._batches or self._batches[-1][0] != step:
            self._batches.append((step, number))

    def flush(self, step: int, rng: dict[str, str]) -> dict[str, Any] | None:
        """Send what was kept up to `step` and not sent; returns the data of the `freeze_frame` event."""
        wanted = [i for i, (at, _) in enumerate(self._kept) if self.sent_to < at <= step]
        if self._ring is None or not wanted:
            return self._without_rows(step, rng)
        kept = [self._kept[i] for i in wanted]  # one after the other: steps ascend
        first, self.sent_to = kept[0][0], kept[-1][0]
        begin = self._slot(wanted[0])
        end = begin + len(kept)
        pieces = [self._ring[begin:end], self._ring[: max(0, end - self._steps)]]  # around the ring's end
        with torch.no_grad():
            rows, event = self._bring([piece for piece in pieces if len(piece)])
        self._flights.append(Flight(rows, event, kept))
        self.harvest()
        batches = [number for at, number in self._batches if first <= at <= self.sent_to]
        return {"from": first, "to": self.sent_to, "parameters": self._ring.shape[1], "batches": batches, "rng": rng}

    def _without_rows(self, step: int, rng: dict[str, str]) -> dict[str, Any] | None:
        """The norms are known already (full detail), or are too many to be kept; batches and random states are not."""
        if not rng:
            return None
        batches = [number for at, number in self._batches if at <= step]
        return {"from": step, "to": step, "parameters": 0, "batches": batches[-1:], "rng": rng}

    def forget_from(self, step: int) -> None:
        """A rollback: what was at and after `step` is another branch."""
        self.sent_to = min(self.sent_to, step - 1)
        self._kept.clear()
        self._batches.clear()
        self._count = 0

    def harvest(self, wait: bool = False) -> None:
        """Hand over what has arrived."""
        while self._flights:
            flight = self._flights[0]
            if flight.event is not None:
                if wait:
                    flight.event.synchronize()
                elif not flight.event.query():
                    return
            self._flights.popleft()
            table = flight.rows.to(torch.float64).numpy()
            for row, (at, present) in zip(table, flight.kept, strict=True):
                series = tuple(names.param_grad_norm(self._parameters[i]) for i in present)
                self._add_row(at, series, row[list(present)])  # a list of places: a copy

    def _slot(self, i: int) -> int:
        return (self._count - len(self._kept) + i) % self._steps

    def _index_of(self, present: tuple[int, ...], device: torch.device) -> Tensor:
        if present not in self._index:
            if len(self._index) >= INDICES_MAX:
                self._index.clear()
            host = torch.tensor(present, device="cpu", pin_memory=device.type == "cuda")
            self._index[present] = host.to(device, non_blocking=True)
        return self._index[present]
