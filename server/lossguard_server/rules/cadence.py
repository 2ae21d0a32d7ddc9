"""How far apart the samples of each series are, and where that grew.

Rules of this file: a sample that comes at the usual interval changes nothing, so a page in which all do costs a few
array operations; only the others are looked at one after another.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .window import Counts, Floats, Mask

# an interval this much longer is a new cadence: two thirds of a prototype's false alarms sat there
CADENCE_FACTOR = 5.0
RATE = 0.1


class Cadence:
    """The interval of each series, in steps, and its last step."""

    def __init__(self) -> None:
        self._interval: Floats = np.zeros(0)
        self._last_step: Counts = np.zeros(0, np.int64)

    def add(self, more: int) -> None:
        self._interval = np.concatenate([self._interval, np.zeros(more)])
        self._last_step = np.concatenate([self._last_step, np.zeros(more, np.int64)])

    def watch(self, steps: Counts, fresh: Mask, seen: Counts) -> dict[int, npt.NDArray[np.intp]]:
        """Take rows; by row, the series whose samples now come more than five times as far apart."""
        gaps, is_first = self._gaps(steps, fresh, seen)
        counts = fresh & ~is_first & (gaps > 0)
        unusual = np.flatnonzero((counts & (gaps != self._interval)).any(axis=0))
        found: dict[int, npt.NDArray[np.intp]] = {}
        if len(unusual):
            mine, own = counts[:, unusual], gaps[:, unusual]
            interval = self._interval[unusual]
            for t in np.flatnonzero((mine & (own != interval)).any(axis=1) | mine.any(axis=1)).tolist():
                known, gap = mine[t], own[t]
                slower = known & (interval > 0) & (gap > CADENCE_FACTOR * interval)
                if slower.any():
                    found[t] = unusual[slower]
                    interval[slower] = gap[slower]
                interval += np.where(known, np.where(interval == 0, gap, RATE * (gap - interval)), 0.0)
            self._interval[unusual] = interval
        return found

    def _gaps(self, steps: Counts, fresh: Mask, seen: Counts) -> tuple[Floats, Mask]:
        """[T, S]: steps since the series' sample before; and where there was none."""
        rows = np.arange(len(steps))
        newest = np.maximum.accumulate(np.where(fresh, rows[:, None], -1), axis=0)
        before = np.vstack([np.full((1, fresh.shape[1]), -1), newest[:-1]])
        last = np.where(before >= 0, steps[before], self._last_step)
        has_come = newest[-1] >= 0
        self._last_step[has_come] = steps[newest[-1][has_come]]
        return (steps[:, None] - last).astype(np.float64), (before < 0) & (seen == 0)

    def dump(self) -> dict[str, Any]:
        return {"interval": self._interval, "last_step": self._last_step}

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> "Cadence":
        cadence = cls()
        cadence._interval = np.array(data["interval"], np.float64)
        cadence._last_step = np.array(data["last_step"], np.int64)
        return cadence
