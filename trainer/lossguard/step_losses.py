"""The losses of one step: one call of `run.total`, or several when gradients are accumulated.

Rules of this file: tensors stay on their device, and are copied when they are given, because a script may change its
own in place before the step ends (`loss /= 4`). Calls with the same components are micro-batches: the step's value is
their mean. Calls with other components (two players of a game) stand beside each other: their totals add up. A call
without a graph (a look at validation data) does not count beside one that has a graph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import norms
from .protocol import names

CALLS_MAX = 4_096  # far more than anybody accumulates: the loop has no step boundaries
MICRO = ".micro/"  # private: the total of each micro-batch, so that a bad one is named


@dataclass(frozen=True)
class Call:
    """What one call of `run.total` was given and gave; all 0-d and detached."""

    losses: Mapping[str, Tensor]
    total: Tensor
    has_graph: bool


class StepLosses:
    """Collects the calls of a step."""

    def __init__(self) -> None:
        self._calls: list[Call] = []

    def add(self, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """One call. Raises RuntimeError when no step ever ends."""
        if len(self._calls) >= CALLS_MAX:
            self._calls.clear()
            raise RuntimeError("no step has ended for a long time: loop over run.steps(...), or call run.boundary()")
        *kept, kept_total = copies([*losses.values(), total])
        self._calls.append(Call(dict(zip(losses, kept, strict=True)), kept_total, total.requires_grad))

    def totals(self) -> list[Tensor]:
        """The totals so far that lead to an update."""
        return [call.total for call in self._counting()]

    def series(self) -> list[tuple[list[str], Tensor]]:
        """(names, values [len(names)]) of the step."""
        calls = self._counting()
        if len(calls) == 1:  # the usual step: nothing to compute
            given = {**{names.loss(name): loss for name, loss in calls[0].losses.items()}, names.TOTAL: calls[0].total}
            return [([name], value) for name, value in given.items()]
        if not calls:
            return []
        players: dict[tuple[str, ...], list[Call]] = {}
        for call in calls:
            players.setdefault(tuple(call.losses), []).append(call)
        means = [_means(each) for each in players.values()]
        totals = _column([mean[-1] for _, mean in means])
        losses = [(series, mean[:-1]) for series, mean in means]
        found = [*losses, ([names.TOTAL], totals.sum())]
        if len(players) == 1:  # two players of a game are no micro-batches
            found.append(([f"{MICRO}{i}" for i in range(len(calls))], _column([call.total for call in calls])))
        return found

    def clear(self) -> None:
        """The step is over."""
        self._calls.clear()

    def _counting(self) -> Sequence[Call]:
        return [call for call in self._calls if call.has_graph] or self._calls[-1:]


def copies(values: Sequence[Tensor]) -> list[Tensor]:
    """The tensors of one element in memory of their own, 0-d and without their graph."""
    first = values[0]
    with torch.no_grad():
        if all(value.dtype == first.dtype and value.device == first.device for value in values):
            return list(torch.stack([value.reshape(()) for value in values]).unbind())  # one launch for all of them
        return [value.detach().reshape(()).clone() for value in values]


def _means(calls: Sequence[Call]) -> tuple[list[str], Tensor]:
    """(names, the mean of each loss and, last, of the total)."""
    table = _column([value for call in calls for value in (*call.losses.values(), call.total)]).view(len(calls), -1)
    return [names.loss(name) for name in calls[0].losses], table.sum(0) / len(calls)


def _column(values: Sequence[Tensor]) -> Tensor:
    # in float64, where the mean of equal values is that value
    device = norms.home_of(values)
    wide = torch.float32 if device.type == "mps" else torch.float64
    return torch.stack([value.to(device=device, dtype=wide, non_blocking=True) for value in values])
