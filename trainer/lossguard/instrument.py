"""Collects a step's numbers in the training thread: losses, gradient and matrix norms, tensors that the user logs.

Rules of this file: no `.item()`, no wait, no I/O. Everything of a step is gathered into one float64 vector, copied to
the host once, and queued as one row. Gradient norms are taken once a step, before clipping where lossguard clips, else
in the optimizer's pre-step hook.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim import Optimizer

from . import norms
from .protocol import names
from .ring import HostCopy, host_copy_for
from .shield import Shield

Emit = Callable[[int, tuple[str, ...], npt.NDArray[np.float64]], None]

PENDING_MAX = 4_096  # values of one step: far more, and the loop has no step boundaries


class Instrument:
    """What is measured of one training loop."""

    def __init__(
        self,
        emit: Emit,
        model: torch.nn.Module | None,
        optimizers: Sequence[Optimizer],
        groups: Mapping[str, str | Sequence[str]] | None,
        shield: Shield,
    ) -> None:
        self._emit = emit
        named = list(model.named_parameters()) if model is not None else []
        self._params = [p for _, p in named] or [p for opt in optimizers for g in opt.param_groups for p in g["params"]]
        self.groups, group_of = norms.assign_groups([name for name, _ in named], groups) if named else ([], [])
        self._group_of = group_of
        self._group_index: dict[tuple[int, ...], Tensor] = {}
        self._optimizers = list(optimizers)
        self._hosts: dict[torch.device, HostCopy] = {}
        self._names: list[str] = []
        self._tensors: list[Tensor] = []
        self._host_values: dict[str, float] = {}
        self._norms_taken = False
        self._hooks = [opt.register_step_pre_hook(self._before_step(shield)) for opt in self._optimizers]

    def _before_step(self, shield: Shield) -> Callable[..., None]:
        def before_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            if not shield.broken:
                with shield("gradient norms"):
                    self.take_grad_norms()

        return before_step

    # -- what a step adds ---------------------------------------------------------------------------------------

    def add(self, name: str, value: Tensor) -> None:
        """A 0-d tensor of this step, on any device; it is read later."""
        if len(self._tensors) >= PENDING_MAX:
            self._names, self._tensors = [], []
            raise RuntimeError("no step has ended for a long time: loop over run.steps(...), or call run.boundary()")
        self._names.append(name)
        self._tensors.append(value.detach())

    def add_many(self, series: Sequence[str], values: Tensor) -> None:
        """A vector [len(series)] of this step."""
        self._names.extend(series)
        self._tensors.append(values.detach())

    def add_host(self, name: str, value: float) -> None:
        """A number of this step that the host already knows."""
        self._host_values[name] = value

    def add_matrix(self, name: str, matrix: Tensor) -> None:
        """The norms of [N,N] or [B,N,N]."""
        series = [names.matrix(name, norm) for norm in norms.MATRIX_NORMS]
        if not any(map(names.fault_in, series)):
            with torch.no_grad():
                self.add_many(series, norms.matrix_norms(matrix))

    def take_grad_norms(self) -> None:
        """Norms by group and in total, once a step; later calls within the step do nothing."""
        present = [i for i, p in enumerate(self._params) if p.grad is not None]
        if self._norms_taken or not present:
            return
        with torch.no_grad():
            grads = [self._grad(i) for i in present]
            # at least float32, because a norm in float16 overflows at 65,504
            wide = torch.float64 if any(g.dtype == torch.float64 for g in grads) else torch.float32
            each = norms.grad_norms(grads, wide)
            self._record_norms(present, each, norms.total_norm(each))

    def norm_to_clip_by(self, whole_model: bool) -> Tensor | None:
        """Take the norms before clipping; returns the total with torch's own bits, or None when torch must take it.

        torch takes norms in the gradients' dtype, device by device, and of the parameters it was given: shared only
        where that is ours.
        """
        present = [i for i, p in enumerate(self._params) if p.grad is not None]
        grads = [grad for p in self._params if (grad := p.grad) is not None]
        kinds = {(grad.device, grad.dtype, grad.layout) for grad in grads}
        if not whole_model or len(kinds) != 1 or (grads[0].dtype, grads[0].layout) != (torch.float32, torch.strided):
            self.take_grad_norms()
            return None
        with torch.no_grad():
            each = norms.grad_norms(grads)
            total = norms.total_norm(each)
            if not self._norms_taken:
                self._record_norms(present, each, total)
        return total

    def add_clip(self, total: Tensor, max_norm: float) -> None:
        """Record what clipping to `max_norm` did; torch adds the same 1e-6."""
        if not self._norms_taken:
            self.add(names.GRAD_NORM_TOTAL, total)
        self.add("clip_coef", torch.clamp(max_norm / (total.detach() + 1e-6), max=1.0))

    # -- the end of a step --------------------------------------------------------------------------------------

    def close_step(self, step: int) -> None:
        """Send the step on its way to the host, and hand over the steps that have arrived."""
        self._add_lr()
        host_names, host_values = tuple(self._host_values), list(self._host_values.values())
        series, tensors = self._unique(host_names)
        self._names, self._tensors, self._host_values, self._norms_taken = [], [], {}, False
        if series:
            self._send(step, host_names + series, host_values, tensors)
        else:
            self._emit(step, host_names, np.array(host_values))
        self._harvest()

    def log(self, step: int, values: Mapping[str, Tensor], with_step: bool) -> None:
        """0-d tensors that the user logs: with the step that is being made, or as a row of their own at `step`."""
        if with_step:
            for name, value in values.items():
                self.add(name, value)
        else:
            self._send(step, tuple(values), [], list(values.values()))
            self._harvest()

    def _send(self, step: int, series: tuple[str, ...], host_values: list[float], tensors: list[Tensor]) -> None:
        device = next((t.device for t in tensors if t.device.type != "cpu"), tensors[0].device)
        if device not in self._hosts:
            self._hosts[device] = host_copy_for(device)
        wide = torch.float32 if device.type == "mps" else torch.float64
        with torch.no_grad():
            vector = torch.cat([t.reshape(-1).to(device=device, dtype=wide, non_blocking=True) for t in tensors])
        self._hosts[device].push(vector, lambda values: self._emit(step, series, np.concatenate([host_values, values])))

    def _harvest(self, wait: bool = False) -> None:
        for host in self._hosts.values():
            host.harvest(wait)

    def drain(self) -> None:
        """Wait for every step still on its way."""
        self._harvest(wait=True)

    def detach(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()

    # -- inside -------------------------------------------------------------------------------------------------

    def _unique(self, taken: tuple[str, ...]) -> tuple[tuple[str, ...], list[Tensor]]:
        if len(set(self._names)) == len(self._names) and not set(taken) & set(self._names):
            return tuple(self._names), self._tensors
        # a name given twice in a step (a second backward, a second log): the last one counts
        flat = [part for t in self._tensors for part in t.reshape(-1).unbind()]
        last = {name: part for name, part in zip(self._names, flat, strict=True) if name not in taken}
        return tuple(last), list(last.values())

    def _grad(self, index: int) -> Tensor:
        grad = self._params[index].grad
        assert grad is not None
        grad = grad.detach()
        grad = grad.coalesce().values() if grad.is_sparse else grad
        return torch.view_as_real(grad) if grad.is_complex() else grad

    def _record_norms(self, present: list[int], each: Tensor, total: Tensor) -> None:
        self._norms_taken = True
        self.add(names.GRAD_NORM_TOTAL, total)
        if self._group_of:
            index = self._index_for(tuple(present), each.device)
            series = [names.grad_norm(group) for group in self.groups]
            self.add_many(series, norms.group_norms(each, index, len(self.groups)))

    def _index_for(self, present: tuple[int, ...], device: torch.device) -> Tensor:
        if present not in self._group_index:
            # pinned and non-blocking: made on the device directly, it would wait for the device
            groups = [self._group_of[i] for i in present]
            host = torch.tensor(groups, device="cpu", pin_memory=device.type == "cuda")
            self._group_index[present] = host.to(device, non_blocking=True)
        return self._group_index[present]

    def _add_lr(self) -> None:
        if not self._optimizers:
            return
        lr = self._optimizers[0].param_groups[0].get("lr")
        if isinstance(lr, Tensor):
            self.add("lr", lr)
        elif lr is not None:
            self.add_host("lr", float(lr))
