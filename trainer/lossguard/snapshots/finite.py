"""Whether a training state is worth keeping: every number of it that should be finite is.

Rules of this file:
- Inf-norms decide: an L2 norm overflows at 1e19 in float32, and would call a finite state broken.
- Parameters and optimizer state must be finite. Buffers and frozen parameters must be no NaN: a causal mask holds -inf.
- On a device the answer is computed when the snapshot is taken and read when it is needed, without a wait.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Answers:
    """One bool for each device and dtype, on its way to the host. Read them once the copies have arrived."""

    bits: tuple[Tensor, ...]

    def all_right(self) -> bool:
        """True when nothing was wrong."""
        return all(bool(bit) for bit in self.bits)


def ask(tensors: Iterable[tuple[Tensor, bool]]) -> Answers:
    """Begin the check of (tensor, may be infinite) pairs. Integers have no such values and are passed over."""
    groups: dict[tuple[torch.device, torch.dtype, bool], list[Tensor]] = {}
    for tensor, may_be_infinite in tensors:
        if tensor.numel() and (tensor.is_floating_point() or tensor.is_complex()):
            real = _real(tensor.detach())
            groups.setdefault((real.device, real.dtype, may_be_infinite), []).append(real)
    with torch.no_grad():
        return Answers(tuple(_answer(group, device, lax) for (device, _, lax), group in groups.items()))


def _answer(group: list[Tensor], device: torch.device, may_be_infinite: bool) -> Tensor:
    norms = _cpu_norms(group) if device.type == "cpu" else torch.stack(torch._foreach_norm(group, torch.inf))
    bit = (~norms.isnan() if may_be_infinite else norms.isfinite()).all()
    if device.type != "cuda":
        return bit.cpu()
    return torch.empty((), dtype=torch.bool, pin_memory=True).copy_(bit, non_blocking=True)


def _cpu_norms(group: list[Tensor]) -> Tensor:
    """A CPU's inf-norm is not vectorised, its L2 norm is: 45 ms against 4 ms for 30 M numbers (torch 2.13, 2 cores).

    A finite L2 norm means that every element is finite; only where it is not, the inf-norm decides.
    """
    norms = torch.stack(torch._foreach_norm(group, 2.0))
    for at in (~norms.isfinite()).nonzero().flatten().tolist():
        norms[at] = torch.linalg.vector_norm(group[at], torch.inf)
    return norms


def _real(tensor: Tensor) -> Tensor:
    if tensor.is_complex():
        return torch.view_as_real(tensor.resolve_conj())
    return tensor.float() if tensor.dtype.itemsize == 1 else tensor  # float8 has no norm
