"""How a tensor lies in memory, and its bytes as a flat alias.

Rules of this file:
- A tensor is copied as the bytes it occupies: any dtype, any memory format, NaN payloads and all, and one dtype for the
  multi-tensor copies. What lies with gaps, or shows one element many times (expand), goes through a packed clone.
- What has no bytes that could be copied is refused by Unsupported, with a sentence; nothing is copied half.
- No value is looked at, so nothing here waits for a device.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy


class Unsupported(Exception):
    """The state cannot be copied now; the text says what stands in the way."""


@dataclass(frozen=True)
class Layout:
    """What is needed to make a tensor again from its bytes. `stride` in elements, packed."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def empty(self, device: torch.device) -> Tensor:
        """A new tensor of this layout, its values not set."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=device)


def fault_in(tensor: Tensor) -> str | None:
    """Why the bytes of `tensor` (no wrapper subclass) cannot be copied, or None."""
    if is_lazy(tensor):
        return "it has no shape before the first forward pass"
    if tensor.device.type == "meta":
        return "it is on the meta device and has no values"
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        return f"it is not a dense tensor ({_kind(tensor)})"
    one = without_repeats(tensor)
    if _extent(one) is None:
        return "its elements overlap in memory"
    if tensor.numel() and tensor.untyped_storage().nbytes() == 0:
        return "its memory was given back (a sharded parameter outside of its forward pass)"
    return None


def without_repeats(tensor: Tensor) -> Tensor:
    """The view that shows each element in memory once: an expanded dimension has length 1."""
    if 0 not in tensor.stride():
        return tensor
    for dim, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if stride == 0 and size > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


def layout_of(tensor: Tensor) -> Layout:
    """The layout under which the bytes of `packed(tensor)` are kept."""
    return Layout(tensor.dtype, tuple(tensor.shape), tuple(tensor.stride()))


def is_packed(tensor: Tensor) -> bool:
    """True when the bytes of the tensor are those between its first and its last element, as they are to be read."""
    if tensor.is_conj() or tensor.is_neg():
        return False
    return tensor.is_contiguous() or _extent(tensor) == tensor.numel()


def packed(tensor: Tensor) -> Tensor:
    """The tensor itself, detached, or a contiguous clone of it when it is not packed."""
    tensor = tensor.detach()
    return tensor if is_packed(tensor) else tensor.resolve_conj().resolve_neg().contiguous()


def as_bytes(tensor: Tensor) -> Tensor:
    """The memory of a packed tensor as uint8 [nbytes]: an alias, in the order of the memory.

    Writing through it counts as a write to the tensor: a graph that was built before it cannot be used by mistake.
    """
    return tensor.detach().as_strided((tensor.numel(),), (1,)).view(torch.uint8)


def from_bytes(layout: Layout, pieces: list[Tensor]) -> Tensor:
    """The tensor, on the host, that the pieces (uint8, one dimension) hold together."""
    flat = pieces[0] if len(pieces) == 1 else torch.cat([torch.empty(0, dtype=torch.uint8), *pieces])
    return flat.view(layout.dtype).as_strided(layout.shape, layout.stride)


def _extent(tensor: Tensor) -> int | None:
    """Elements from the first to the last in memory, or None where two indices may mean the same element."""
    if tensor.numel() == 0:
        return 0
    extent = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size == 1:
            continue
        if stride < extent:
            return None
        extent += (size - 1) * stride
    return extent


def _kind(tensor: Tensor) -> str:
    if tensor.is_nested:
        return "nested"
    return "quantized" if tensor.is_quantized else str(tensor.layout).removeprefix("torch.")
