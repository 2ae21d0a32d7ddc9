"""What a loss does by itself, and is excused: how far its level lags behind a steady rise, and how it wanders.

Formula   lag: the median of y - level over the last 100 samples, if it is above 0; 0 while there are fewer. An average
          that learns at 1 % a sample lags a line by what the line rises in 100 samples, and by more in a heavy tail,
          after whose outliers it learns at a tenth; the median is that lag, whatever its cause.
          wander: sqrt((1 + p) / (1 - p)), p = 3 rho - 2 within [0, 0.95], rho the correlation from one deviation to
          the next among those of the last 100 samples that came before the rise; 1 where these are fewer than 50.
Source    exponential smoothing with a trend (Holt): without it a critic's loss whose returns grow a hundredfold is off
          its level for ever, and 10 of 25 such runs paged. Sums of correlated samples are so much wider (AR(1)); with
          p = rho 12 of 112 sustained spikes of real runs would not have paged at once, with this p 3.
Rules of this file: a series that falls is corrected by nothing: what rises then is news. What is carried from window to
window are the samples' own numbers, so a cut changes no bit.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from .base import Rows
from .following import CLIP, CUSUM_CAP, DRIFT_SLACK
from .window import Floats, Window

CALM_SAMPLES = 50  # fewer say nothing of a correlation
RHO_MAX = 0.95  # beyond that no sum is enough
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

    def wander(self, row: int) -> float:
        """So many times wider than those of independent samples the sums of deviations are; at a judged row."""
        rests, scales = self.upto(row)
        deviations = np.clip((rests - self.lag(row)) / scales, -CLIP, CUSUM_CAP)
        # a CUSUM's last zero is its best beginning: what came since is what is to be judged, and says nothing here
        calm = deviations[: len(deviations) - 1 - int(np.cumsum((deviations - DRIFT_SLACK)[::-1]).argmax())]
        if len(calm) < CALM_SAMPLES:
            return 1.0
        rest = calm - calm.mean()
        power = float(rest @ rest)
        rho = float(rest[1:] @ rest[:-1]) / power if power > 0 else 0.0
        rho = min(max(3 * rho - 2, 0.0), RHO_MAX)
        return sqrt((1 + rho) / (1 - rho))

    def lowest(self, rows: Rows) -> Floats:
        """The lowest of the last 100 samples up to each of these rows, above their levels."""
        return np.array([self.upto(row)[0].min() for row in rows.tolist()], dtype=np.float64)

    def wanders(self, rows: Rows) -> Floats:
        """The same at some judged rows."""
        return np.array([self.wander(row) for row in rows.tolist()], dtype=np.float64)


def habit(window: Window, number: int, memory: dict[str, Any]) -> Habit:
    """Of a series; `memory["rests"]` and `memory["scales"]` are those of its last 100 samples."""
    rows = np.flatnonzero(window.judged[:, number])
    levels = window.levels
    before: Floats = memory.get("rests", np.zeros(0))
    rests = np.concatenate([before, levels.y[rows, number] - levels.level[rows, number]])
    scales = np.concatenate([memory.get("scales", np.zeros(0)), levels.scale[rows, number]])
    memory["rests"], memory["scales"] = rests[-SAMPLES:], scales[-SAMPLES:]
    return Habit(rests, scales, len(before), rows)
