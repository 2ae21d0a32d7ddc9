"""The multiplier of the learning rates, there only while an optimizer steps.

Rules of this file:
- A scheduler computes the next rate from the present one, so what it finds between two steps must be what it left,
  bit for bit: the rate is multiplied just before a step and put back just after it, not divided.
- A rate that is a tensor stays the same tensor: a compiled or captured step reads that memory.
- Hooks are put on after the guard's, so that a step which the guard ends by an error has not been scaled yet. A step
  that failed in another way is put back at the next boundary.
- Off is the scale 1: nothing is touched.
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from .guard.probe import takes_hooks

PutBack = Callable[[], None]


class LrScale:
    """Scales the learning rates of a run's optimizers."""

    def __init__(self, optimizers: Sequence[object]) -> None:
        self._optimizers = [each for each in optimizers if isinstance(each, Optimizer) and takes_hooks(each)]
        self._scale = 1.0
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._held: dict[int, list[PutBack]] = {}  # by optimizer: of a step that has not come to its end

    @property
    def is_possible(self) -> bool:
        """False where no optimizer takes hooks."""
        return bool(self._optimizers)

    def set(self, scale: float) -> None:
        """For the steps from now on. At a boundary."""
        if self._held:
            self._put_back()
        self._scale = scale

    def attach(self) -> None:
        """Put the hooks on. Called twice at will."""
        if not self._hooks:
            self._hooks = [hook for each in self._optimizers for hook in _hooked(each, weakref.ref(self))]

    def detach(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()
        self._put_back()
        self._hooks, self._optimizers = [], []

    # -- the hooks ----------------------------------------------------------------------------------------------

    def before(self, optimizer: Optimizer) -> None:
        """It is about to step."""
        self.after(optimizer)  # of a step that an error has ended
        if self._scale == 1.0:
            return
        held = self._held.setdefault(id(optimizer), [])
        scaled: set[int] = set()  # one tensor may be the rate of several groups
        for group in optimizer.param_groups:
            rate = group.get("lr")
            if isinstance(rate, Tensor):
                if id(rate) not in scaled:
                    scaled.add(id(rate))
                    held.append(_scale_tensor(rate, self._scale))
            elif rate is not None:
                held.append(_scale_number(group, self._scale))

    def after(self, optimizer: Optimizer) -> None:
        """It has stepped, or left the step out."""
        for put_back in self._held.pop(id(optimizer), ()):
            put_back()

    def _put_back(self) -> None:
        for optimizer in self._optimizers:
            self.after(optimizer)


def _hooked(optimizer: Optimizer, ref: "weakref.ref[LrScale]") -> "list[torch.utils.hooks.RemovableHandle]":
    # weakly: an optimizer outlives its run
    def before(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if (scale := ref()) is not None:
            scale.before(optimizer)

    def after(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if (scale := ref()) is not None:
            scale.after(optimizer)

    return [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]


def _scale_number(group: dict[str, Any], scale: float) -> PutBack:
    rate = group["lr"]
    group["lr"] = rate * scale

    def put_back() -> None:
        group["lr"] = rate

    return put_back


def _scale_tensor(rate: Tensor, scale: float) -> PutBack:
    with torch.no_grad():
        before = rate.clone()
        rate.mul_(scale)

    def put_back() -> None:
        with torch.no_grad():
            rate.copy_(before, non_blocking=True)

    return put_back
