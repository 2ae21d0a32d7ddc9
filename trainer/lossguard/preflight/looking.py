"""The run of a script that is looked at: it sees the losses of the first batches, tells, and ends the script.

Rules of this file: nothing reaches a server, a spool or a weight. An optimizer that steps finds no gradients, so that
it changes neither parameters nor its state; that holds for all of torch's, also those that lg.init was not given.
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from ..identity import rank
from ..protocol.numbers import dumps
from ..run import Run
from .asked import Asked
from .judging import judged
from .looks import Gradients, Looks
from .report import Report

if TYPE_CHECKING:
    from torch import Tensor

    from ..wishes import Wishes


class Looking(Run):
    """A run in mode off whose `total` looks; it raises SystemExit once it has seen every component often enough."""

    def __init__(self, asked: Asked, wishes: "Wishes", *parts: Any) -> None:
        super().__init__(*parts)
        self._asked, self._curriculum = asked, wishes.schedule.curriculum
        named = [("", each) for each in self._parameters]
        if wishes.model is not None:
            named = list(wishes.model.named_parameters())
        self._looks, self._has_told = Looks(Gradients(named, wishes.groups)), False
        self._hook = register_optimizer_step_pre_hook(without_gradients)

    def total(self, losses: "Mapping[str, Tensor] | None" = None, /, **components: "Tensor") -> "Tensor":
        """As of a run; afterwards the script may be over."""
        total = super().total(losses, **components)
        if not self._evaluation.is_on:
            given = self._device_weights.as_tensors({**(losses or {}), **components})
            if any(self._looks.count(name) >= self._asked.batches for name in given):
                self._end()  # one that is declared has not come: it will not
            self._looks.add(given)
            if all(self._looks.count(name) >= self._asked.batches for name in self._curriculum.components):
                self._end()
            self._write()
        return total

    def finish(self, timeout_s: float = 30.0, state: str | None = None) -> None:
        """Tell of what was seen: there were fewer batches than asked for."""
        super().finish(timeout_s, state)
        self._hook.remove()
        if self._looks.batches:
            self._tell()

    def _end(self) -> None:
        raise SystemExit(0 if self._tell() else 1)

    def _tell(self) -> bool:
        """True when no stage would blow up."""
        report = self._write()
        if not self._has_told and self._asked.file is None and rank() == 0:
            print(report, flush=True)
        self._has_told = True
        return report.ok

    def _write(self) -> Report:
        looks, curriculum = self._looks, self._curriculum
        report = judged(looks.components(curriculum.components), curriculum, looks.batches, looks.notes)
        if (file := self._asked.file) is not None and rank() == 0:
            fresh = file.with_name(f"{file.name}.new")
            fresh.write_bytes(dumps({"text": str(report), "report": report.to_dict()}))
            os.replace(fresh, file)  # whoever reads it may read while this process is being killed
        return report


def without_gradients(
    optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Before an optimizer steps: forget its gradients, also those that its closure is about to make."""
    _forget(optimizer)
    quiet = tuple(each if isinstance(each, Optimizer) else _quiet(optimizer, each) for each in args)
    return quiet, {name: _quiet(optimizer, each) if name == "closure" else each for name, each in kwargs.items()}


def _quiet(optimizer: Optimizer, closure: Any) -> Any:
    if not callable(closure):
        return closure
    made: Callable[[], Any] = closure

    def quiet() -> Any:
        loss = made()
        _forget(optimizer)
        return loss

    return quiet


def _forget(optimizer: Optimizer) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None
