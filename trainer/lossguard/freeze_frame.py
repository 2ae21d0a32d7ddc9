"""The last 256 steps in full detail, kept on the device and sent only with a trip.

Rules of this file: one small copy a step on the device, nothing to the host until a trip. What was sent is not sent
again. Rows of the frame carry their own, earlier steps.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .protocol import names
from .ring import HostCopy, host_copy_for

STEPS = 256
PARAMETERS_MAX = 4_096  # 4 MiB a ring in float32; beyond it the groups must do

AddRow = Callable[[int, tuple[str, ...], Any], None]


class FreezeFrame:
    """Norms of every parameter's gradient over the last steps. `add_row`: (step, names, values)."""

    def __init__(self, parameters: Sequence[str], add_row: AddRow, steps: int = STEPS) -> None:
        self._parameters, self._add_row, self._steps = parameters, add_row, steps
        self._ring: Tensor | None = None
        self._kept: deque[tuple[int, tuple[int, ...]]] = deque(maxlen=steps)  # (step, present), oldest first
        self._batches: deque[tuple[int, int]] = deque(maxlen=steps)
        self._host: HostCopy | None = None
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
        """Step `step` begins with batch `number` of this run."""
        self._batches.append((step, number))

    def flush(self, step: int, rng: dict[str, str]) -> dict[str, Any] | None:
        """Send what was kept up to `step` and not sent; returns the data of the `freeze_frame` event."""
        kept = [(at, each, self._slot(i)) for i, (at, each) in enumerate(self._kept) if self.sent_to < at <= step]
        if self._ring is None or not kept:
            return None
        first, self.sent_to = kept[0][0], kept[-1][0]
        width = self._ring.shape[1]
        if self._host is None:
            self._host = host_copy_for(self._ring.device)

        def arrived(values: Any) -> None:
            table = np.asarray(values).reshape(self._steps, width)
            for at, present, slot in kept:
                series = tuple(names.param_grad_norm(self._parameters[i]) for i in present)
                self._add_row(at, series, table[slot, list(present)].copy())

        self._host.push([self._ring.reshape(-1).clone()], arrived)
        batches = [number for at, number in self._batches if first <= at <= self.sent_to]
        return {"from": first, "to": self.sent_to, "parameters": width, "batches": batches, "rng": rng}

    def forget_from(self, step: int) -> None:
        """A rollback: what was at and after `step` is another branch."""
        self.sent_to = min(self.sent_to, step - 1)
        self._kept.clear()
        self._batches.clear()
        self._count = 0

    def harvest(self, wait: bool = False) -> None:
        """Hand over a flush that has arrived."""
        if self._host is not None:
            self._host.harvest(wait)

    def _slot(self, i: int) -> int:
        return (self._count - len(self._kept) + i) % self._steps

    def _index_of(self, present: tuple[int, ...], device: torch.device) -> Tensor:
        if present not in self._index:
            host = torch.tensor(present, device="cpu", pin_memory=device.type == "cuda")
            self._index[present] = host.to(device, non_blocking=True)
        return self._index[present]
