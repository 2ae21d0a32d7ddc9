"""Collects a step's numbers in the training thread and sends them to the host as one vector.

Rules of this file: no `.item()`, no wait, no I/O. Everything of a step is gathered into one float64 vector, copied to
the host once, and handed over as one row when it has arrived. Names that begin with a dot are for the trainer itself
(arrivals.py) and go no further.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim import Optimizer

from . import norms
from .activations import Activations
from .detail import Detail
from .freeze_frame import FreezeFrame
from .grad_norms import GradNorms
from .gradients import ComponentGradients
from .guard.guard import Guard
from .protocol import names
from .ring import HostCopy, host_copy_for
from .step_losses import StepLosses, copies

Emit = Callable[[int, tuple[str, ...], npt.NDArray[np.float64]], None]

PENDING_MAX = 4_096  # values of one step: far more, and the loop has no step boundaries
BAD = ".bad"  # private: the guard's verdict


class Scaler(Protocol):
    """What is used of torch.amp.GradScaler."""

    def is_enabled(self) -> bool: ...

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


class Instrument:
    """What is measured of one training loop."""

    def __init__(
        self,
        emit: Emit,
        grads: GradNorms,
        losses: StepLosses,
        guard: Guard,
        optimizers: Sequence[Optimizer],
        detail: Detail,
        frame: FreezeFrame,
        gradients: ComponentGradients,
        activations: Activations,
        scaler: Scaler | None = None,
    ) -> None:
        self.grads, self.losses, self.guard, self.detail, self.frame = grads, losses, guard, detail, frame
        self.gradients, self.activations = gradients, activations
        self.lr_scale = 1.0  # of the step that is being made: the rates between two steps are the script's own
        self._emit, self._optimizers = emit, list(optimizers)
        self._scaler = scaler if scaler is not None and scaler.is_enabled() else None
        self._hosts: dict[torch.device, HostCopy] = {}
        self._names: list[str] = []
        self._tensors: list[Tensor] = []
        self._host_values: dict[str, float] = {}

    # -- what a step adds ---------------------------------------------------------------------------------------

    def add(self, name: str, value: Tensor) -> None:
        """A 0-d tensor of this step, on any device; it is read later."""
        self.add_many([name], value)

    def add_many(self, series: Sequence[str], values: Tensor) -> None:
        """A vector [len(series)] of this step, or a 0-d tensor for one; nobody may write into it afterwards."""
        if len(self._tensors) >= PENDING_MAX:
            self._names, self._tensors = [], []
            raise RuntimeError("no step has ended for a long time: loop over run.steps(...), or call run.boundary()")
        self._names.extend(series)
        self._tensors.append(values.detach())

    def add_host(self, name: str, value: float) -> None:
        """A number of this step that the host already knows."""
        self._host_values[name] = value

    def add_losses(self, step: int, losses: Mapping[str, Tensor], weights: Mapping[str, float], total: Tensor) -> None:
        """One call of run.total; with a shared activation, at every k-th step, the components' gradients there."""
        self.losses.add(losses, total)
        if (found := self.gradients.measure(step, losses, weights, self._scale())) is not None:
            self.add_many(*found)

    def add_matrix(self, name: str, matrix: Tensor) -> None:
        """The norms of [N,N] or [B,N,N]."""
        series = [names.matrix(name, norm) for norm in norms.names_for(matrix)]
        if not any(map(names.fault_in, series)):
            with torch.no_grad():
                self.add_many(series, norms.matrix_norms(matrix))

    def add_count(self, name: str, mask: Tensor) -> None:
        """How many elements of a mask are set."""
        if names.fault_in(names.count(name)) is None:
            self.add(names.count(name), norms.masked_count(mask))

    def add_clip(self, total: Tensor, max_norm: float) -> None:
        """Record what clipping to `max_norm` did; torch adds the same 1e-6."""
        self.grads.clipped()
        if not self.grads:
            self.add(names.GRAD_NORM_TOTAL, total)
        self.add("clip_coef", torch.clamp(max_norm / (total.detach() + 1e-6), max=1.0))

    # -- the end of a step --------------------------------------------------------------------------------------

    def close_step(self, step: int) -> None:
        """Send the step on its way to the host, and hand over the steps that have arrived."""
        pending, self._names, self._tensors = (self._names, self._tensors), [], []
        for series, values in self.losses.series():
            self.add_many(series, values)
        self._names += pending[0]
        self._tensors += pending[1]
        for series, values in self.grads.series():
            self.add_many(series, values)
        self._add_verdicts()
        self._add_lr()
        if (active := self.activations.values()) is not None:
            self.add_many(*active)
        self._add_parameters(step)
        self._send_step(step)
        self.harvest()

    def close_quietly(self, step: int) -> None:
        """A replay: only what the host knows is a number of this step."""
        self.activations.values()
        self._names, self._tensors = [], []
        self._host_values[names.SKIPPED] = 1.0
        self._send_step(step)

    def _send_step(self, step: int) -> None:
        host_names, host_values = tuple(self._host_values), list(self._host_values.values())
        series, tensors = self._unique(host_names)
        self._forget_step()
        if series:
            self._send(step, host_names + series, host_values, tensors)
        elif host_names:
            self._emit(step, host_names, np.array(host_values))

    def pass_over(self) -> None:
        """A step begins that is guarded and not recorded: nothing of the one before may stand for it."""
        self._forget_step()
        self.guard.begin_step()

    def _forget_step(self) -> None:
        self._names, self._tensors, self._host_values = [], [], {}
        self.gradients.clear()
        self.losses.clear()
        self.grads.clear()

    def log(self, step: int, values: Mapping[str, Tensor], with_step: bool) -> None:
        """0-d tensors that the user logs: with the step that is being made, or as a row of their own at `step`."""
        if with_step:
            # copies, because a running mean is set to zero again, and a parameter is changed by the optimizer
            for name, value in zip(values, copies(list(values.values())), strict=True):
                self.add(name, value)
        else:
            self._send(step, tuple(values), [], list(values.values()))
            self.harvest()

    def _send(self, step: int, series: tuple[str, ...], host_values: list[float], tensors: list[Tensor]) -> None:
        device = norms.home_of(tensors)
        if device not in self._hosts:
            self._hosts[device] = host_copy_for(device)
        self._hosts[device].push(
            tensors, lambda values: self._emit(step, series, np.concatenate([host_values, values]))
        )

    def harvest(self, wait: bool = False) -> None:
        """Hand over what has arrived; with `wait`, everything that is on its way."""
        for host in self._hosts.values():
            host.harvest(wait)
        self.frame.harvest(wait)

    def detach(self) -> None:
        """Take the hooks off."""
        self.guard.detach()
        self.activations.detach()

    # -- inside -------------------------------------------------------------------------------------------------

    def _add_verdicts(self) -> None:
        verdicts, totals = self.guard.verdicts, self.losses.totals()
        if verdicts.bad or (verdicts.own_bad and not verdicts.host_bad):
            self.add(BAD, _any([*verdicts.bad, *verdicts.own_bad]))
        elif verdicts.host_bad:
            self.add_host(BAD, 1.0)
        elif self._scaler is not None and totals and not verdicts.stepped:
            # an unfused GradScaler that finds infinities does not call its optimizer, so nobody has judged
            broken = _any([total.isfinite().logical_not() for total in totals])
            self.add(BAD, broken)
            if self.grads:
                self.add_host(names.SKIPPED, 1.0)
            else:
                self.add(names.SKIPPED, broken)
        if verdicts.host_bad:
            self.add_host(names.SKIPPED, 1.0)
        elif verdicts.skipped:
            self.add(names.SKIPPED, _any(verdicts.skipped))
        elif verdicts.stepped:
            self.add_host(names.SKIPPED, 0.0)
        if (scale := self._scale()) is not None:
            self.add(names.LOSS_SCALE, scale)

    def _scale(self) -> Tensor | None:
        # get_scale() would wait for the device
        scale: Tensor | None = getattr(self._scaler, "_get_scale_async", lambda: None)()
        return scale

    def _add_parameters(self, step: int) -> None:
        if (found := self.grads.by_parameter()) is None:
            return
        present, each = found
        self.frame.keep(step, present, each)
        if self.detail.is_full:
            self.add_many([names.param_grad_norm(self.grads.parameters[i]) for i in present], each)
            self.frame.sent_to = step

    def _unique(self, taken: tuple[str, ...]) -> tuple[tuple[str, ...], list[Tensor]]:
        if len(set(self._names)) == len(self._names) and not set(taken) & set(self._names):
            return tuple(self._names), self._tensors
        # a name given twice in a step (a second log): the last one counts
        flat = [part for t in self._tensors for part in t.reshape(-1).unbind()]
        last = {name: part for name, part in zip(self._names, flat, strict=True) if name not in taken}
        return tuple(last), list(last.values())

    def _add_lr(self) -> None:
        if not self._optimizers:
            return
        lr = self._optimizers[0].param_groups[0].get("lr")
        if isinstance(lr, Tensor):
            self.add("lr", lr if self.lr_scale == 1.0 else lr * self.lr_scale)
        elif lr is not None:
            self.add_host("lr", float(lr) * self.lr_scale)


def _any(flags: Sequence[Tensor]) -> Tensor:
    if len(flags) == 1:
        return flags[0]
    device = norms.home_of(flags)
    return torch.stack([flag.to(device=device, dtype=torch.float32, non_blocking=True) for flag in flags]).amax()
