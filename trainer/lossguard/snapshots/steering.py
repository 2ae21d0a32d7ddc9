"""The learning rates, schedulers and the scaler of a run, as they were before a step that must leave no trace.

Rules of this file: held for one step and put back in place; nothing waits for a device. Weights and optimizer state are
no part of it: such a step does not reach them.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from .state import Stateful, as_list, scaler_parts

PutBack = Callable[[], None]


class Steering:
    """What of a run changes at each step beside its weights. `scheduler` and `scaler` as given to lg.init."""

    def __init__(
        self,
        optimizers: Sequence[Optimizer] = (),
        scheduler: Stateful | Sequence[Stateful] | None = None,
        scaler: Stateful | None = None,
    ) -> None:
        self._optimizers, self._schedulers, self._scaler = list(optimizers), as_list(scheduler), scaler

    @property
    def is_complete(self) -> bool:
        """False where a scheduler steps one of the optimizers and was not given: nobody could put it back."""
        known = [getattr(scheduler, "optimizer", None) for scheduler in self._schedulers]
        if None in known:  # a wrapper around a scheduler: taken to be the one
            return True
        # torch's schedulers wrap the step of their optimizer, and mark the wrapper
        scheduled = [opt for opt in self._optimizers if hasattr(opt.step, "_wrapped_by_lr_sched")]
        return all(any(opt is other for other in known) for opt in scheduled)

    def take(self) -> list[PutBack]:
        """What puts each part back, to be called in any order; all of them, whichever fails."""
        parts = [_group(group) for opt in self._optimizers for group in opt.param_groups]
        parts += [_stateful(scheduler) for scheduler in self._schedulers]
        if isinstance(self._scaler, GradScaler):
            parts.append(_grad_scaler(self._scaler))
        elif self._scaler is not None:
            parts.append(_stateful(self._scaler))
        return parts


def _group(group: dict[str, Any]) -> PutBack:
    held = {key: _own(value) for key, value in group.items() if key != "params"}
    write = _values_of(held)

    def put_back() -> None:
        group.update(held)
        write()

    return put_back


def _stateful(part: Stateful) -> PutBack:
    state = copy.deepcopy(part.state_dict())

    def put_back() -> None:
        part.load_state_dict(state)

    return put_back


def _grad_scaler(scaler: GradScaler) -> PutBack:
    found = scaler_parts(scaler)
    held: dict[str, Any] = dict(found) if isinstance(found, dict) else {}
    write = _values_of(held)
    # left as they are, a step that came to no update would make the next unscale_ an error
    optimizers = getattr(scaler, "_per_optimizer_states", None)
    if optimizers is not None:
        held["_per_optimizer_states"] = own = optimizers.copy()
        for key, state in optimizers.items():
            own[key] = {name: _own(value) for name, value in state.items()}

    def put_back() -> None:
        vars(scaler).update(held)
        write()

    return put_back


def _own(value: Any) -> Any:
    return copy.copy(value) if isinstance(value, list | dict) else value


def _values_of(held: object) -> PutBack:
    """Writes the tensors' values of now into them again."""
    values = [(tensor, tensor.detach().clone()) for tensor in _tensors_in(held)]

    def write() -> None:
        with torch.no_grad():
            for tensor, value in values:
                tensor.copy_(value, non_blocking=True)

    return write


def _tensors_in(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors_in(item)
