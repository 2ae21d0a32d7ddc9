"""Norms of gradients of which each rank holds a part (FSDP2, HSDP, tensor parallel): squares, summed over the ranks.

Rules of this file:
- One vector of squares for all gradients, and one reduction for each dimension of the mesh along which any of them is
  cut: a full_tensor() a parameter would be a collective each. What every rank of a dimension holds whole counts once:
  it is divided by that dimension's size before the sum.
- A dimension that only repeats (HSDP's replicas) needs no reduction: all of it have the same sum.
- Every rank must come here for the same gradients. No wait: the reduction is queued on the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grads_with_norm_


def is_sharded(tensor: object) -> bool:
    """True of a DTensor; told by what it has, because importing its class takes half a second."""
    return hasattr(tensor, "placements") and hasattr(tensor, "device_mesh")


def local_part(tensor: Tensor) -> Tensor:
    """This rank's part. A gradient that is still a sum to be made (Partial) is made whole, by a collective."""
    sharded: Any = tensor
    if any(placement.is_partial() for placement in sharded.placements):
        whole: Tensor = sharded.full_tensor()
        return whole
    part: Tensor = sharded.to_local()
    return part


def whole(norm: Tensor) -> Tensor:
    """A norm as every rank has it: of gradients that are cut, torch gives one that may still be a sum to be made."""
    sharded: Any = norm
    full: Tensor = sharded.full_tensor() if is_sharded(norm) else norm
    return full


def clipped(parameters: Sequence[Tensor], max_norm: float, total: Tensor | None) -> Tensor:
    """Clip the gradients as torch does; `total`: their norm, where it is known. Returns it, as every rank has it."""
    if total is None:
        return whole(clip_grad_norm_(parameters, max_norm))
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


@dataclass(frozen=True)
class _Sum:
    """Over the ranks of one dimension of a mesh."""

    group: "dist.ProcessGroup"  # a torch without distributed has no such name
    shares: Tensor  # [n] what each gradient is multiplied by before: 1, or 1 / size where it is repeated
    is_of_mesh: Tensor | None  # [n]; None: all are


class Shards:
    """How the squares of some gradients become those of the whole."""

    def __init__(self, sums: Sequence[_Sum]) -> None:
        self._sums = sums

    @classmethod
    def of(cls, gradients: Sequence[Tensor], device: torch.device) -> "Shards":
        """`device`: where their norms are."""
        meshes = {gradient.device_mesh: None for gradient in map(_any, gradients) if is_sharded(gradient)}
        return cls([each for mesh in meshes for each in _sums_over(mesh, gradients, device)])

    def whole(self, norms: Tensor) -> Tensor:
        """From the norms of the local parts [n] those of the whole gradients [n]."""
        if not self._sums:
            return norms
        squares = norms.double()  # the square of a norm of 1e19 overflows float32
        squares = squares * squares
        for each in self._sums:
            part = squares * each.shares
            dist.all_reduce(part, group=each.group)
            squares = part if each.is_of_mesh is None else torch.where(each.is_of_mesh, part, squares)
        return squares.sqrt().to(norms.dtype)


def _sums_over(mesh: Any, gradients: Sequence[Tensor], device: torch.device) -> list[_Sum]:
    of_mesh = [is_sharded(gradient) and _any(gradient).device_mesh == mesh for gradient in gradients]
    sums = []
    for dim in range(mesh.ndim):
        size = mesh.size(dim)
        cut = [mine and _is_cut(gradient, dim) for gradient, mine in zip(gradients, of_mesh, strict=True)]
        if size > 1 and any(cut):
            shares = torch.tensor([1.0 if each else 1.0 / size for each in cut], dtype=torch.float64)
            is_of_mesh = None if all(of_mesh) else _on(torch.tensor(of_mesh), device)
            sums.append(_Sum(mesh.get_group(dim), _on(shares, device), is_of_mesh))
    return sums


def _is_cut(gradient: Tensor, dim: int) -> bool:
    placement = _any(gradient).placements[dim]
    return not placement.is_replicate() and not placement.is_partial()


def _on(host: Tensor, device: torch.device) -> Tensor:
    """Pinned and non-blocking: made on the device directly, it would wait for the device."""
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host.to(device)


def _any(tensor: Tensor) -> Any:
    return tensor
