"""A second copy of the model's buffers, taken when a step begins and put back when the step is tripped.

Rules of this file: skipping the optimizer does not protect buffers: one NaN batch makes BatchNorm's running
statistics NaN for ever. Copied are floating-point and complex buffers, and counters (integers of one element:
num_batches_tracked). A buffer that is infinite from the start (an attention mask) is not judged. No wait: putting
back is a select on the device.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class BufferShadow:
    """The buffers of one model as they were when the step began."""

    def __init__(self, model: torch.nn.Module | None) -> None:
        """Looks once, with a wait, at which buffers are finite."""
        modules = list(model.modules()) if model is not None else []
        # by owner and name, because many modules put a new tensor in a buffer's place instead of writing into it
        self._places = [(m, key) for m in modules for key, b in m._buffers.items() if b is not None and _is_kept(b)]
        self._judged = {i for i, b in enumerate(self._live()) if not _is_counter(b) and bool(b.isfinite().all())}
        self._kept = [b.detach().clone() for b in self._live()]

    def _live(self) -> list[Tensor]:
        found = [module._buffers[key] for module, key in self._places]
        return [b for b in found if b is not None]

    def take(self) -> None:
        """Copy the buffers as they are now."""
        live = self._live()
        if not live:
            return
        with torch.no_grad():
            if not _fit(live, self._kept):  # moved to another device, or grown
                self._kept = [b.detach().clone() for b in live]
            torch._foreach_copy_(self._kept, live, non_blocking=True)

    def put_back(self) -> None:
        """Write the copies over the buffers."""
        live = self._live()
        if live and _fit(live, self._kept):
            with torch.no_grad():
                torch._foreach_copy_(live, self._kept, non_blocking=True)

    def put_back_where(self, bad: Tensor) -> None:
        """The same where `bad` (0-d bool) is true, else nothing; decided on the device."""
        live = self._live()
        if not _fit(live, self._kept):
            return
        with torch.no_grad():
            for buffer, kept in zip(live, self._kept, strict=True):
                # a select, because a multiplication would keep the NaN: 0 * NaN is NaN
                torch.where(bad.to(buffer.device, non_blocking=True), kept, buffer, out=buffer)

    def fault(self) -> Tensor | None:
        """0-d: 0 while every judged buffer is finite, else NaN. None where there is none to judge."""
        judged = [b for i, b in enumerate(self._live()) if i in self._judged and b.numel()]
        if not judged:
            return None
        with torch.no_grad():
            real = [torch.view_as_real(b) if b.is_complex() else b for b in judged]
            largest = torch._foreach_norm(real, torch.inf)  # not L2, which overflows for finite values
            faults = [(each - each).to(largest[0].device, torch.float32, non_blocking=True) for each in largest]
            return torch.stack(faults).sum()


def _is_counter(buffer: Tensor) -> bool:
    return buffer.numel() == 1 and not (buffer.is_floating_point() or buffer.is_complex())


def _is_kept(buffer: Tensor) -> bool:
    return buffer.is_floating_point() or buffer.is_complex() or _is_counter(buffer)


def _fit(live: Sequence[Tensor], kept: Sequence[Tensor]) -> bool:
    return len(live) == len(kept) and all(
        a.shape == b.shape and a.device == b.device and a.dtype == b.dtype for a, b in zip(live, kept, strict=True)
    )
