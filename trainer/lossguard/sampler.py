"""Turns what the machine says of itself into rows, every few seconds and at most once a step.

Rules of this file: called in the link thread; a series' steps increase, so a step that lasts minutes has one row.
"""

import time
from collections.abc import Callable, Mapping

from .buffer import Row

EVERY_S = 5.0


class Sampler:
    """`sample` is asked for named numbers; `clock` is monotonic, `wall` labels the row."""

    def __init__(
        self,
        sample: Callable[[], Mapping[str, float]],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        every_s: float = EVERY_S,
    ) -> None:
        self._sample, self._clock, self._wall, self._every_s = sample, clock, wall, every_s
        self._due_s, self._last_step = clock() + every_s, -1

    def __call__(self, step: int) -> list[Row]:
        """The row that is due at `step`, or none."""
        now_s = self._clock()
        if now_s < self._due_s or step == self._last_step:
            return []
        self._due_s, self._last_step = now_s + self._every_s, step
        found = self._sample()
        return [Row(step, tuple(found), list(found.values()), self._wall())] if found else []
