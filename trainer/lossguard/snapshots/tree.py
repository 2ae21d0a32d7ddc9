"""Nested state (dicts, lists, tuples, tensors, plain values) taken apart into tensors to copy, and put together again.

Rules of this file:
- `freeze` replaces each tensor by what its `keep` returns for it and copies everything else deeply, so that what
  training changes afterwards is not seen.
- `thaw` writes into the tensors that are there now, where they are of the same kind, and makes the others anew; a
  frozen tree can be thawed any number of times.
- A tensor that wraps others (a distributed or a quantized one) is its parts.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from .layout import Layout, Unsupported, fault_in, without_repeats


@dataclass
class Region:
    """Some memory that a snapshot holds: copied once, however many tensors show it.

    `beside`: only the optimizer writes it, so it may be copied while the next forward pass runs. `source` is the live
    memory (uint8) until it has been copied, `pieces` are the copy.
    """

    nbytes: int
    beside: bool
    source: Tensor | None
    pieces: list[Tensor] = field(default_factory=list)

    @property
    def is_on_cuda(self) -> bool:
        """True while it has a source, and that is a CUDA device's."""
        return self.source is not None and self.source.is_cuda


@dataclass(frozen=True)
class Kept:
    """A tensor of a snapshot."""

    layout: Layout
    shown_shape: tuple[int, ...]  # of the tensor as it was seen: an expanded one shows more than is kept
    device: torch.device
    region: Region

    def fits(self, now: object) -> bool:
        """True when `now` can take the kept values in place."""
        if not isinstance(now, Tensor) or is_traceable_wrapper_subclass(now) or now.is_inference():
            return False
        if fault_in(now) is not None or now.dtype != self.layout.dtype or now.shape != self.shown_shape:
            return False
        return tuple(without_repeats(now).shape) == self.layout.shape

    def describe(self) -> str:
        """Dtype and shape, for a sentence."""
        return f"{str(self.layout.dtype).removeprefix('torch.')} {list(self.shown_shape)}"


@dataclass(frozen=True)
class KeptParts:
    """A tensor that wraps others: its inner tensors by attribute, and what its class needs to make it again.

    `carried`: inner things that are no tensors (a device mesh). They are structure, and stay what they are.
    """

    kind: type
    context: object
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    inner: Mapping[str, "Kept | KeptParts"]
    carried: Mapping[str, object]

    def fits(self, now: object) -> bool:
        """True when `now` can take the kept values in place."""
        if not isinstance(now, Tensor) or type(now) is not self.kind or tuple(now.shape) != self.shape:
            return False
        return all(kept.fits(getattr(now, name, None)) for name, kept in self.inner.items())

    def describe(self) -> str:
        """Class and shape, for a sentence."""
        return f"{self.kind.__name__} {list(self.shape)}"


AnyKept = Kept | KeptParts
Keep = Callable[[Tensor], Kept]
Fill = Callable[[Kept, object], Tensor]


def keep_tensor(tensor: Tensor, keep: Keep) -> AnyKept:
    """`keep` for the tensor, or for each of its parts. Raises Unsupported."""
    if not is_traceable_wrapper_subclass(tensor):
        return keep(tensor)
    names, context = tensor.__tensor_flatten__()
    parts = {name: getattr(tensor, name) for name in names}
    inner = {name: keep_tensor(part, keep) for name, part in parts.items() if isinstance(part, Tensor)}
    carried = {name: part for name, part in parts.items() if not isinstance(part, Tensor)}
    return KeptParts(type(tensor), context, tuple(tensor.shape), tuple(tensor.stride()), inner, carried)


def fill_tensor(kept: AnyKept, now: object, fill: Fill) -> Tensor:
    """The tensor with the kept values: `now` where it fits, else a new one."""
    if isinstance(kept, Kept):
        return fill(kept, now)
    if kept.fits(now) and isinstance(now, Tensor):
        for name, part in kept.inner.items():
            fill_tensor(part, getattr(now, name), fill)
        return now
    inner = {name: fill_tensor(part, None, fill) for name, part in kept.inner.items()}
    make_again: Callable[..., Tensor] = getattr(kept.kind, "__tensor_unflatten__")  # noqa: B009  (typed by the protocol only)
    return make_again({**kept.carried, **inner}, kept.context, kept.shape, kept.stride)


def freeze(value: object, keep: Keep) -> object:
    """`value` with each tensor kept and all else copied. Raises Unsupported."""
    if isinstance(value, Tensor):
        return keep_tensor(value, keep)
    if type(value) in (dict, OrderedDict) and isinstance(value, dict):
        return type(value)((key, freeze(item, keep)) for key, item in value.items())
    if type(value) in (list, tuple) and isinstance(value, list | tuple):
        return type(value)(freeze(item, keep) for item in value)
    try:
        return copy.deepcopy(value)
    except (TypeError, RuntimeError) as error:  # no pickling of a lock or generator; no copy of a non-leaf tensor
        raise Unsupported(f"a {type(value).__name__} in it cannot be copied: {error}") from error


def thaw(frozen: object, now: object, fill: Fill) -> object:
    """The value again; `now` is what stands in its place at present."""
    if isinstance(frozen, Kept | KeptParts):
        return fill_tensor(frozen, now, fill)
    if type(frozen) in (dict, OrderedDict) and isinstance(frozen, dict):
        present = now if isinstance(now, dict) else {}
        return type(frozen)((key, thaw(item, present.get(key), fill)) for key, item in frozen.items())
    if type(frozen) in (list, tuple) and isinstance(frozen, list | tuple):
        standing = now if isinstance(now, list | tuple) else ()
        pairs = ((item, standing[at] if at < len(standing) else None) for at, item in enumerate(frozen))
        return type(frozen)(thaw(item, there, fill) for item, there in pairs)
    return copy.deepcopy(frozen)
