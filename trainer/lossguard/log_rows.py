"""Puts what a user logs where it belongs: with the step that is being made, or in a row of its own.

Rules of this file: nothing is raised for a value that is none; in a loop without boundaries each call is a step.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .buffer import Row
from .logged import Logged
from .loop import Loop

if TYPE_CHECKING:
    from torch import Tensor

    from .evaluating import Evaluation
    from .instrument import Instrument


class LogRows:
    """The calls of one run's `log`."""

    def __init__(
        self, loop: Loop, evaluation: "Evaluation", add_row: Callable[[Row], None], clock: Callable[[], float]
    ) -> None:
        self.sorting = Logged()
        self._loop, self._evaluation, self._add_row, self._clock = loop, evaluation, add_row, clock
        self._alone = 0  # calls before the first step

    def add(
        self, values: "Mapping[str, float | Tensor]", step: int | None, measuring: "Callable[[], Instrument | None]"
    ) -> None:
        """One call. `measuring`: what measures now."""
        loop = self._loop
        given = None if step is None else self.sorting.step(step, values)
        if loop.replay is not None or (step is not None and given is None):
            return
        numbers, tensors = self.sorting.sorted(values)
        if self._evaluation.is_on:
            return self._evaluation.log(numbers, tensors, given)
        at = loop.step if given is None else given
        if given is None and loop.step < loop.first_step:
            at = loop.first_step + self._alone
            self._alone += 1
        if tensors and (instrument := measuring()) is not None:
            instrument.log(at, tensors, with_step=loop.is_open and at == loop.step)
        if numbers:
            self._add_row(Row(at, *self.sorting.named(numbers), self._clock()))
