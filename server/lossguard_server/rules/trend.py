"""How far the level of a series lags behind it: what a loss that rises steadily is excused.

Formula   the median of y - level over the last 100 samples, if it is above 0; 0 while there are fewer. An average that
          learns at 1 % a sample lags a line by what the line rises in 100 samples, and by more in a heavy tail, after
          whose outliers it learns at a tenth; the median is that lag, whatever its cause.
Source    exponential smoothing with a trend (Holt): without it a critic's loss whose returns grow a hundredfold is off
          its level for ever, and 10 of 25 such runs paged.
Rules of this file: a series that falls is corrected by nothing: what rises then is news. What is carried from window to
window are the samples' own numbers, so a cut changes no bit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .base import Rows
from .window import Floats, Window

SAMPLES = 100  # 1 / the rate at which a level learns (following.RATE_MIN)


@dataclass(frozen=True)
class Habit:
    """The judged samples of a window behind the last 100 before it: [n] each."""

    rests: Floats  # y - level
    scales: Floats
    before: int  # so many of them lie before the window
    rows: Rows  # of the others, increasing

    def upto(self, row: int) -> tuple[Floats, Floats]:
        """(rests, scales) of the last 100 samples up to and with a judged row of the window."""
        end = self.before + int(np.searchsorted(self.rows, row)) + 1
        last = slice(max(end - SAMPLES, 0), end)
        return self.rests[last], self.scales[last]

    def lag(self, row: int) -> float:
        """Log units, at least 0; at a judged row of the window."""
        rests, _ = self.upto(row)
        return max(float(np.median(rests)), 0.0) if len(rests) >= SAMPLES else 0.0

    def lags(self, rows: Rows) -> Floats:
        """The same at some judged rows."""
        return np.array([self.lag(row) for row in rows.tolist()], dtype=np.float64)


def habit(window: Window, number: int, memory: dict[str, Any]) -> Habit:
    """Of a series; `memory["rests"]` and `memory["scales"]` are those of its last 100 samples."""
    rows = np.flatnonzero(window.judged[:, number])
    levels = window.levels
    before: Floats = memory.get("rests", np.zeros(0))
    rests = np.concatenate([before, levels.y[rows, number] - levels.level[rows, number]])
    scales = np.concatenate([memory.get("scales", np.zeros(0)), levels.scale[rows, number]])
    memory["rests"], memory["scales"] = rests[-SAMPLES:], scales[-SAMPLES:]
    return Habit(rests, scales, len(before), rows)
