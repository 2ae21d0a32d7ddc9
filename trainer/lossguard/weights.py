"""The weights of the loss components on the device, changed in place at step boundaries.

Rules of this file: one vector a dtype for the whole run, so that compiled code and graphs keep seeing the same memory;
a new weight is a copy into it, never a new tensor. `total` multiplies and adds in the order in which the components are
given, which is bit for bit what a person's `w1 * a + w2 * b + w3 * c` computes. A component that is gated is no term of
it: 0 * NaN is NaN, in the sum and in every gradient.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .errors import NotAScalar, UnknownComponent

_HALF = (torch.float16, torch.bfloat16)


class _Reaching(torch.autograd.Function):
    """A total as it is; its backward gives these parameters the gradient 0."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, *parameters: Tensor) -> Tensor:
        ctx.parameters = parameters
        return total.view_as(total)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        return grad, *(torch.zeros_like(p) for p in ctx.parameters)


class DeviceWeights:
    """One 0-d weight a component, as views of one vector on the losses' device and in their dtype."""

    def __init__(
        self,
        components: Sequence[str],
        values: Mapping[str, float],
        reached: Callable[[], Sequence[Tensor]] = tuple,
        is_reduced: bool = False,
    ) -> None:
        """`reached`: the parameters that a backward must reach though components are gated: of a total of which nothing
        is left, or, where ranks add up their gradients (`is_reduced`), of each: they wait for every one of them."""
        self.gated: frozenset[str] = frozenset()
        self._reached, self._is_reduced = reached, is_reduced
        self._index = {name: i for i, name in enumerate(components)}
        self._values = [values[name] for name in components]
        self._vectors: dict[tuple[torch.device, torch.dtype], tuple[Tensor, tuple[Tensor, ...]]] = {}

    @property
    def components(self) -> list[str]:
        """The names, in their declared order."""
        return list(self._index)

    def update(self, values: Mapping[str, float], gated: frozenset[str] = frozenset()) -> None:
        """Write the weights for the coming step; nothing happens when none has changed."""
        self.gated = gated
        fresh = [values[name] for name in self._index]
        if fresh == self._values:
            return
        self._values = fresh
        for vector, _ in self._vectors.values():
            self._write(vector)

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum, 0-d, with its graph. Raises UnknownComponent, NotAScalar, TypeError."""
        total: Tensor | None = None
        for name, loss in losses.items():
            if name in self.gated:
                self._weight(name, loss)  # what is wrong with it is said all the same
                continue
            term = self._weighted(name, loss)
            total = term if total is None else total + term
        if self.gated and losses and not self.gated.isdisjoint(losses):
            return self._with_gates(total, losses)
        if total is None:
            raise TypeError("run.total takes at least one component, e.g. run.total(ce=loss).")
        return total

    def opened(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same losses, those that are gated without their graph."""
        return {name: loss.detach() if name in self.gated else loss for name, loss in losses.items()}

    def _with_gates(self, total: Tensor | None, losses: Mapping[str, Tensor]) -> Tensor:
        """A total of which something was left out; its backward reaches what it must, with gradients of 0."""
        has_graph = torch.is_grad_enabled() and any(loss.requires_grad for loss in losses.values())
        if total is not None:
            # sharded parameters need no gradient; one that has none is left alone by its optimizer, as it should be
            waiting = [p for p in self._reached() if self._is_reduced and p.requires_grad and not _is_sharded(p)]
            return _reaching(total, waiting) if has_graph and waiting else total
        zero = _zero(list(losses.values()))
        if not has_graph:
            return zero
        # a GradScaler, too, asks that at least one parameter has a gradient
        if reached := [p for p in self._reached() if p.requires_grad]:
            return _reaching(zero, reached)
        return zero.requires_grad_()

    @staticmethod
    def as_tensors(losses: Mapping[str, Tensor | float]) -> dict[str, Tensor]:
        """The losses as tensors: one that is switched off is often written as 0.0."""
        return {name: loss if isinstance(loss, Tensor) else torch.as_tensor(loss) for name, loss in losses.items()}

    def _weighted(self, name: str, loss: Tensor) -> Tensor:
        if loss.dtype in _HALF:
            # as torch multiplies by a Python float: in float32, then rounded; a half-precision weight would be another
            return (self._weight(name, loss.float()) * loss.reshape(()).float()).to(loss.dtype)
        return self._weight(name, loss) * loss.reshape(())

    def _weight(self, name: str, loss: Tensor) -> Tensor:
        if name not in self._index:
            raise UnknownComponent(name, self.components)
        if loss.numel() != 1:
            raise NotAScalar(name, tuple(loss.shape))
        # result_type: an integer loss (a count) is weighed as a float, as it is when written by hand
        key = (loss.device, torch.result_type(loss, 1.0))
        if key not in self._vectors:
            self._vectors[key] = self._new_vector(*key)
        return self._vectors[key][1][self._index[name]]

    def _new_vector(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, tuple[Tensor, ...]]:
        # made within inference_mode, it could take no part in a later backward
        with torch.inference_mode(False):
            vector = torch.empty(len(self._index), device=device, dtype=dtype)
            self._write(vector)
            return vector, vector.unbind()

    def _write(self, vector: Tensor) -> None:
        # a fresh pinned tensor each time: the one before may still be on its way to the device
        # device: a default device that the user set must not apply to it
        pinned = vector.device.type == "cuda"
        host = torch.tensor(self._values, dtype=vector.dtype, device="cpu", pin_memory=pinned)
        # through .data: a backward that comes after the boundary must not fail because the weight was replaced
        vector.data.copy_(host, non_blocking=True)


def _reaching(total: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    reaching: Tensor = _Reaching.apply(total, *parameters)  # type: ignore[no-untyped-call]
    return reaching


def _zero(losses: Sequence[Tensor]) -> Tensor:
    """0-d, where their weighted sum would be, of its type."""
    kind = losses[0].dtype if losses[0].dtype in _HALF else torch.result_type(losses[0], 1.0)
    for loss in losses[1:]:
        kind = torch.promote_types(kind, loss.dtype if loss.dtype in _HALF else torch.result_type(loss, 1.0))
    return torch.zeros((), dtype=kind, device=losses[0].device)


def _is_sharded(parameter: Tensor) -> bool:
    return hasattr(parameter, "device_mesh")  # a DTensor, whose module is slow to import
