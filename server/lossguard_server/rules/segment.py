"""Lines fitted through log values since a change point, for every row at once.

Formula   ordinary least squares by running sums of (1, t, t^2, y, t y, y^2), t in steps and y in log units since the
          segment's first sample. A segment ends where the CUSUM of growth is 0: there the growth was none.
Rules of this file: sums are carried from window to window by sequential addition, so a cut changes no bit.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .forecast import Fit
from .window import Counts, Floats, Mask

_SUMS = 6


@dataclass(frozen=True)
class Fits:
    """At each of these rows: the line through its segment so far; [n] each."""

    rows: npt.NDArray[np.intp]
    samples: Floats
    steps: Counts
    slope: Floats  # a step
    slope_error: Floats
    level: Floats  # fitted at the row, log
    level_error: Floats
    base: Floats  # the level when the segment began, log
    span: Floats  # steps since it began

    def at(self, i: int) -> Fit:
        return Fit(
            int(self.steps[i]),
            int(self.samples[i]),
            float(self.slope[i]),
            float(self.slope_error[i]),
            float(self.level[i]),
            float(self.level_error[i]),
        )


@dataclass
class Segment:
    """The running sums of the segment that is open."""

    step: int = 0
    base: float = 0.0
    sums: Floats = field(default_factory=lambda: np.zeros(_SUMS))

    @property
    def samples(self) -> int:
        return int(self.sums[0])

    def take(self, rows: npt.NDArray[np.intp], steps: Counts, y: Floats, levels: Floats) -> Fits:
        """Samples of this segment, in order; the fit at each of them."""
        if not self.samples:
            self.step, self.base = int(steps[0]), float(levels[0])
        t, up = (steps - self.step).astype(np.float64), y - self.base
        terms = np.vstack([np.ones_like(t), t, t * t, up, t * up, up * up])
        sums = np.cumsum(np.column_stack([self.sums, terms]), axis=1)
        self.sums = sums[:, -1].copy()
        return self._fit(rows, steps, t, sums[:, 1:])

    def _fit(self, rows: npt.NDArray[np.intp], steps: Counts, t: Floats, sums: Floats) -> Fits:
        n, st, stt, sy, sty, syy = sums
        with np.errstate(all="ignore"):
            spread_t = stt - st * st / n
            slope = (sty - st * sy / n) / spread_t
            left = np.maximum(syy - sy * sy / n - slope * (sty - st * sy / n), 0.0) / np.maximum(n - 2, 1)
            ahead = t - st / n
            level_error = np.sqrt(left * (1 / n + ahead * ahead / spread_t))
            error = np.sqrt(left / spread_t)
        level = self.base + sy / n + slope * ahead
        return Fits(rows, n, steps, slope, error, level, level_error, np.full(len(t), self.base), t)

    def dump(self) -> dict[str, Any]:
        return {"step": self.step, "base": self.base, "sums": self.sums}

    @classmethod
    def load(cls, data: dict[str, Any] | None) -> "Segment":
        return cls() if data is None else cls(int(data["step"]), float(data["base"]), np.array(data["sums"]))


def fits_of(
    memory: dict[str, Any], steps: Counts, y: Floats, levels: Floats, growth: Floats, judged: Mask, least: int
) -> list[Fits]:
    """The fits of the segments that have at least `least` samples, in order; `memory["segment"]` is the open one."""
    zero = growth == 0
    segment = Segment.load(memory.get("segment"))
    member = judged & ~zero
    bounds = np.flatnonzero(zero)
    counted = np.concatenate([[0], np.cumsum(member)])
    begins, ends = np.concatenate([[0], bounds + 1]), np.concatenate([bounds, [len(zero)]])
    sizes = counted[ends] - counted[begins]
    sizes[0] += segment.samples
    found: list[Fits] = []
    last = len(begins) - 1
    for i in np.flatnonzero((sizes >= least) | (np.arange(last + 1) == last)).tolist():
        if i > 0:
            segment = Segment()
        rows = begins[i] + np.flatnonzero(member[begins[i] : ends[i]])
        if len(rows):
            fits = segment.take(rows, steps[rows], y[rows], levels[rows])
            found += [fits] if segment.samples >= least else []
    memory["segment"] = segment.dump()
    return found
