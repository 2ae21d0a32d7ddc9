"""What a script computes within `with run.evaluating():`, recorded as `eval/<name>` of the training series.

Rules of this file: nothing of a training step is touched: its series, its guard, its count, its gradients. One `with`
is one evaluation and makes one row, however many batches it looks at, folded on their device without waiting for it:
norms as a batch of matrices folds them, all else by its mean. What an evaluation that an error ended had seen by then
is recorded.
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import norms
from .protocol import names
from .shield import Shield

if TYPE_CHECKING:
    from .loop import Loop

NAMES_MAX = 1_000  # of one evaluation: names made up for each batch would grow it for ever

Fold = Callable[[Tensor, Tensor], Tensor]


class Evaluation:
    """The context that `run.evaluating()` returns; one within another is a part of it."""

    def __init__(self, loop: "Loop", report: Callable[[str, str], None]) -> None:
        self._loop = loop
        # a matrix that is none, given each time, must not switch off the losses
        self._shield, self._watch_shield = Shield(report), Shield(report)
        self._depth = 0
        self._rows: dict[int | None, Folded] = {}  # None: at the step that is being made

    @property
    def is_on(self) -> bool:
        """True within `with run.evaluating():`."""
        return self._depth > 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth == 0 and self._rows:
            rows, self._rows = self._rows, {}
            with self._shield("an evaluation"):
                for step, folded in rows.items():
                    self._send(step, folded)

    # -- what is recorded ---------------------------------------------------------------------------------------

    def add_losses(self, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """One call of run.total; all of one element."""
        with self._shield("an evaluation"):
            if self._is_recorded(self._shield):
                self._add({**{names.loss(name): loss for name, loss in losses.items()}, names.TOTAL: total})

    def add_matrix(self, name: str, matrix: Tensor) -> None:
        """The norms of [N,N] or [B,N,N]; not which item was the worst, because there are several batches of them."""
        with self._watch_shield("a matrix of an evaluation"):
            if self._is_recorded(self._watch_shield):
                with torch.no_grad():
                    found = dict(zip(norms.names_for(matrix), norms.matrix_norms(matrix).unbind(), strict=True))
                found.pop(norms.WORST, None)
                folds = {names.matrix(name, norm): norms.FOLDS[norm] for norm in found if norm in norms.FOLDS}
                self._add({names.matrix(name, norm): value for norm, value in found.items()}, folds)

    def add_count(self, name: str, mask: Tensor) -> None:
        """How many elements of a mask are set."""
        with self._watch_shield("a count of an evaluation"):
            if self._is_recorded(self._watch_shield):
                self._add({names.count(name): norms.masked_count(mask)})

    def log(self, numbers: Mapping[str, float], tensors: Mapping[str, Tensor], step: int | None) -> None:
        """What the user logs; `step` where it is not the current one."""
        with self._watch_shield("what an evaluation logs"):
            if self._is_recorded(self._watch_shield):
                on_host = {n: torch.tensor(value, dtype=torch.float64, device="cpu") for n, value in numbers.items()}
                self._add({**on_host, **tensors}, step=step)

    # -- inside -------------------------------------------------------------------------------------------------

    def _is_recorded(self, shield: Shield) -> bool:
        # nothing of a replay: what is computed here would be taken for a part of the step
        return self._loop.instrument is not None and self._loop.replay is None and not shield.broken

    def _add(
        self, values: Mapping[str, Tensor], folds: Mapping[str, Fold] | None = None, step: int | None = None
    ) -> None:
        row = self._rows.setdefault(step, Folded())
        with torch.no_grad():
            for name, value in values.items():
                row.add(names.evaluated(name), value, (folds or {}).get(name))

    def _send(self, step: int | None, folded: "Folded") -> None:
        if (instrument := self._loop.instrument) is None:
            return
        at = max(self._loop.step, self._loop.first_step) if step is None else step
        with torch.no_grad():
            values = folded.values()
        if values:
            instrument.log(at, values, with_step=self._loop.is_open and at == self._loop.step)


class Folded:
    """The values of one row so far, each on its device."""

    def __init__(self) -> None:
        self._folded: dict[str, Tensor] = {}
        self._means: dict[str, int] = {}  # how many were added up

    def add(self, name: str, value: Tensor, fold: Fold | None) -> None:
        """One more value of a series; those beyond NAMES_MAX, and names that can be none, are left out."""
        value = _wide(value)
        if name not in self._folded:
            if len(self._folded) < NAMES_MAX and names.fault_in(name) is None:
                self._folded[name] = value
                if fold is None:
                    self._means[name] = 1
        elif fold is not None:
            self._folded[name] = fold(self._folded[name], value)
        else:
            self._folded[name] = self._folded[name] + value
            self._means[name] += 1

    def values(self) -> dict[str, Tensor]:
        """By name, 0-d; a mean where nothing else was asked for."""
        counts = self._means
        return {name: v / counts[name] if counts.get(name, 1) > 1 else v for name, v in self._folded.items()}


def _wide(value: Tensor) -> Tensor:
    # a copy: the script may change its own in place; in float64, where the mean of equal values is that value
    wide = torch.float32 if value.device.type == "mps" else torch.float64
    return value.detach().reshape(()).to(wide, copy=True)
