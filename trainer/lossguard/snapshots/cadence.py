"""When the next snapshot is due.

Rules of this file: pure; steps, times and stalls come in as numbers. What a take costs is measured at each take and
spread over so many steps that the share asked for is kept: smallest interval with stall / interval <= share * step
time (CheckFreq's rule). An interval is never below `healthy_after`: a snapshot is on probation for so long.
"""

import math
from collections import deque
from statistics import median

from .options import Snapshots

STEPS_REMEMBERED = 101  # odd, so that the median is a step that was; enough to outvote a checkpoint or an evaluation
STEPS_MAX = 1e12  # never, for any training; keeps a step time of 1e-300 from overflowing
_READABLE = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


class Cadence:
    """Decides at each boundary whether a snapshot is due."""

    def __init__(self, options: Snapshots) -> None:
        self._options = options
        self._step_times_s: deque[float] = deque(maxlen=STEPS_REMEMBERED)
        self._stall_s = 0.0
        self._last_step: int | None = None
        self._earliest_step = 0

    def note_step(self, step_time_s: float) -> None:
        """The time of one step; what is not a time (before the first step) is passed over."""
        if 0 < step_time_s < math.inf:
            self._step_times_s.append(step_time_s)

    def is_due(self, step: int) -> bool:
        """True at the first boundary, and whenever the interval since the last take has passed."""
        if self._last_step is None:
            return True
        if step < self._earliest_step:
            return False
        self._earliest_step = self._last_step + self.interval_steps()  # step times may have changed since the take
        return step >= self._earliest_step

    def took(self, step: int, stall_s: float) -> None:
        """A snapshot of the state before `step` was taken, or tried, and held the host up for `stall_s`."""
        self._stall_s = stall_s
        self.start_from(step)

    def start_from(self, step: int) -> None:
        """Count the interval from `step`, as after a rollback to it."""
        self._last_step = step
        self._earliest_step = step + self.interval_steps()

    def interval_steps(self) -> int:
        """The steps from one snapshot to the next, as things stand."""
        options = self._options
        if options.every is not None:
            return options.every
        if not self._step_times_s:
            return options.healthy_after
        needed = self._stall_s / (options.stall_share * median(self._step_times_s))
        return max(options.healthy_after, readable(needed))


def readable(steps: float) -> int:
    """A number not below `steps` that is easy to read: 7, 12, 150, 2500 ..."""
    if steps <= 10:
        return max(1, math.ceil(steps))
    steps = min(steps, STEPS_MAX)
    scale = 10.0 ** math.floor(math.log10(steps))
    return next(round(number * scale) for number in _READABLE if round(number * scale) >= steps)
