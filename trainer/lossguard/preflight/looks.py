"""Losses looked at, batch by batch: their values, and the norms of their gradients.

Rules of this file: one backward pass a component, by torch.autograd.grad, which writes no .grad; the graph is kept for
whoever comes after. A norm is taken in float64, where the square of 1e25 does not overflow.
"""

import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import TypeVar

import torch
from torch import Tensor, nn

from .. import norms
from ..arguments import check_groups, check_model
from ..curriculum import Curriculum
from ..errors import ConfigError
from .judging import judged
from .report import Component, Report
from .untouched import untouched

T = TypeVar("T")
Groups = Mapping[str, str | Sequence[str]]


class Gradients:
    """The gradients of losses by the trainable ones of these parameters, by group where they have names."""

    def __init__(self, named: Sequence[tuple[str, Tensor]], groups: Groups | None) -> None:
        trained = [(name, parameter) for name, parameter in named if parameter.requires_grad]
        self._parameters = [parameter for _, parameter in trained]
        names = [name for name, _ in trained]
        self.groups, self._group_of = norms.assign_groups(names, groups) if all(names) and names else ([], [])

    def __bool__(self) -> bool:
        return bool(self._parameters)

    def of(self, loss: Tensor) -> tuple[float, dict[str, float]]:
        """The L2 norm over all parameters, and that of each group; 0 of a loss that depends on none.

        Raises RuntimeError where torch cannot go back through the graph in this way.
        """
        squares = [0.0] * len(self._parameters)
        if loss.requires_grad:
            grads = torch.autograd.grad(loss, self._parameters, retain_graph=True, allow_unused=True)
            squares = [0.0 if grad is None else _norm(grad) ** 2 for grad in grads]
        by_group = dict.fromkeys(self.groups, 0.0)
        for index, square in zip(self._group_of, squares, strict=False):
            by_group[self.groups[index]] += square
        return sum(squares) ** 0.5, {group: square**0.5 for group, square in by_group.items()}


def _norm(grad: Tensor) -> float:
    values = grad.coalesce().values() if grad.is_sparse else grad
    values = torch.view_as_real(values) if values.is_complex() else values
    wide = torch.float32 if values.device.type == "mps" else torch.float64
    return float(torch.linalg.vector_norm(values.detach(), dtype=wide))


class Looks:
    """What has been seen so far, by component."""

    def __init__(self, gradients: Gradients) -> None:
        self._gradients = gradients
        self._raws: dict[str, list[float]] = {}
        self._norms: dict[str, list[tuple[float, dict[str, float]]]] = {}
        self._failure = ""

    @property
    def notes(self) -> list[str]:
        if self._failure:
            return [f"Gradients could not be measured in this training: {self._failure}"]
        return [] if self._gradients else ["No gradients were measured, because no trainable parameters are known."]

    def count(self, component: str) -> int:
        """In how many batches it was seen."""
        return len(self._raws.get(component, ()))

    @property
    def batches(self) -> int:
        return max(map(len, self._raws.values()), default=0)

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """The losses of one batch, of one element each."""
        for name, loss in losses.items():
            self._raws.setdefault(name, []).append(float(loss.detach()))
            if self._gradients and not self._failure:
                try:
                    found = self._gradients.of(loss)
                except RuntimeError as error:  # a graph that was compiled or checkpointed so that it goes back once
                    self._failure = str(error).partition("\n")[0]
                else:
                    self._norms.setdefault(name, []).append(found)

    def components(self, order: Sequence[str]) -> list[Component]:
        """Those that were seen, in this order."""
        known = [name for name in order if name in self._raws]
        return [self._component(name, self._raws[name]) for name in known]

    def _component(self, name: str, raws: list[float]) -> Component:
        finite = [value for value in raws if isfinite(value)] or raws[:1]
        found = [] if self._failure else self._norms.get(name, [])
        wholes = [whole for whole, _ in found]
        return Component(
            name=name,
            raw=statistics.median(finite),
            low=min(finite),
            high=max(finite),
            seen=len(raws),
            nonfinite=sum(not isfinite(value) for value in raws),
            grad_norm=_median(wholes),
            grad_nonfinite=sum(not isfinite(value) for value in wholes),
            grad_zero=sum(value == 0 for value in wholes),
            groups={g: _median([by[g] for _, by in found]) or 0.0 for g in self._gradients.groups if found},
        )


def _median(values: list[float]) -> float | None:
    finite = [value for value in values if isfinite(value)] or values[:1]
    return statistics.median(finite) if finite else None


def look(
    losses: Callable[[T], Mapping[str, Tensor | float]],
    batches: Iterable[T],
    model: nn.Module | None,
    curriculum: Curriculum | None,
    weights: Mapping[str, float] | None,
    groups: Groups | None,
    n_batches: int,
) -> Report:
    """lossguard.preflight. Raises ConfigError."""
    check_model(model)
    check_groups(groups)
    if curriculum is not None and weights is not None:
        raise ConfigError("lg.preflight takes a curriculum or weights, not both.")
    if isinstance(n_batches, bool) or not isinstance(n_batches, int) or n_batches < 1:
        raise ConfigError(f"lg.preflight got n_batches={n_batches!r}; it is a number of batches from 1.")
    plan = Curriculum.constant(weights) if weights is not None else curriculum
    looks = Looks(Gradients([] if model is None else list(model.named_parameters()), groups))
    seen: dict[str, None] = {}
    with untouched(model), torch.inference_mode(False), torch.enable_grad():
        for batch in itertools.islice(batches, n_batches):
            found = _checked(losses(batch), plan)
            seen |= dict.fromkeys(found)
            looks.add(found)
    if not seen:
        raise ConfigError("lg.preflight got no batch, or no loss of one: there is nothing to look at.")
    plan = plan or Curriculum.constant(dict.fromkeys(seen, 1.0))
    return judged(looks.components(plan.components), plan, looks.batches, looks.notes)


def _checked(losses: object, plan: Curriculum | None) -> dict[str, Tensor]:
    if not isinstance(losses, Mapping):
        raise ConfigError(
            f"lg.preflight: losses returned a {type(losses).__name__}; return a dict of component and loss."
        )
    found = {name: loss if isinstance(loss, Tensor) else torch.as_tensor(loss) for name, loss in losses.items()}
    for name, loss in found.items():
        if plan is not None and name not in plan.components:
            raise ConfigError(
                f"lg.preflight: losses returned {name!r}, which no stage declares; declared are "
                f"{', '.join(plan.components)}."
            )
        if loss.numel() != 1:
            raise ConfigError(f"lg.preflight: {name!r} has the shape {list(loss.shape)}; reduce it to one number.")
    return {name: loss.reshape(()) for name, loss in found.items()}
