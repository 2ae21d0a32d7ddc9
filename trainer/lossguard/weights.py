"""The weights of the loss components on the device, changed in place at step boundaries.

Rules of this file: one vector a dtype for the whole run, so that compiled code and graphs keep seeing the same memory;
a new weight is a copy into it, never a new tensor. `total` multiplies and adds in the order in which the components are
given, which is bit for bit what a person's `w1 * a + w2 * b + w3 * c` computes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .errors import NotAScalar, UnknownComponent

_HALF = (torch.float16, torch.bfloat16)


class DeviceWeights:
    """One 0-d weight a component, as views of one vector on the losses' device and in their dtype."""

    def __init__(self, components: Sequence[str], values: Mapping[str, float]) -> None:
        self._index = {name: i for i, name in enumerate(components)}
        self._values = [values[name] for name in components]
        self._vectors: dict[tuple[torch.device, torch.dtype], tuple[Tensor, tuple[Tensor, ...]]] = {}

    @property
    def components(self) -> list[str]:
        """The names, in their declared order."""
        return list(self._index)

    def update(self, values: Mapping[str, float]) -> None:
        """Write the weights for the coming step; nothing happens when none has changed."""
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
            term = self._weighted(name, loss)
            total = term if total is None else total + term
        if total is None:
            raise TypeError("run.total takes at least one component, e.g. run.total(ce=loss).")
        return total

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
