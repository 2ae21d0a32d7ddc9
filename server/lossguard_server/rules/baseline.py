"""What each series of a run normally does: a level, a spread and a tail, blind to outliers.

Rules of this file:
- State is columns over the series of one run; following.py takes rows into it.
- Everything is in log space (asinh for a series that has been negative), so a ratio is a difference and one default
  fits a loss of 1e-3 and a gradient norm of 20.
- While `quiet` counts down (the first 30 samples of a series; 10 after its logging interval grew) it is not judged.

Formulas and numbers: measured on 3,100 public training logs, see docs/rules.md. Plain z-scores fail there: a healthy
log exceeds 6 sigma a million times more often than a Gaussian would.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .cadence import Cadence
from .warm_up import WarmUp
from .window import CURVE, Counts, Floats, Mask, Past

TAIL_PRIOR = 0.01, 0.5  # of a run not yet known: light, but not Gaussian (which would be 0.001, 0.3)
YOUNG_SAMPLES = 100.0  # after so many the rate is at its least

LEVEL, SPREAD, FAST, TAIL, EXCESS, DRIFT, GROWTH = range(7)
ROWS = 7
_COLUMNS: dict[str, type[np.generic]] = {
    "floor": np.float64,
    "eased": np.float64,  # samples left in which the floor is `eased_floor`
    "eased_floor": np.float64,
    "unit": np.float64,  # of a signed series: its usual magnitude
    "signed": np.bool_,
    "come": np.bool_,  # a sample that counts has come
    "was_over": np.bool_,  # the sample before lay above 3 spreads
    "shock": np.float64,  # samples left of slow learning
    "learned": np.float64,  # judged samples, up to YOUNG_SAMPLES
    "cap": np.float64,  # of the level that it learns anew; NaN: none
    "quiet": np.int64,  # samples left in which it is not judged
    "seen": np.int64,
}


class Baselines:
    """Columns over the series of one run, by series number."""

    floor: Floats
    eased: Floats
    eased_floor: Floats
    unit: Floats
    signed: Mask
    come: Mask
    was_over: Mask
    shock: Floats
    learned: Floats
    cap: Floats
    quiet: Counts
    seen: Counts

    def __init__(self) -> None:
        self.count = 0
        self.state = np.zeros((ROWS, 0))
        self._columns = {name: np.zeros(0, kind) for name, kind in _COLUMNS.items()}
        self.past = Past(np.zeros((0, CURVE), np.int64), np.zeros((0, CURVE)), np.zeros(0, np.int64))
        self.cadence, self.warm_up = Cadence(), WarmUp()
        self._view()

    def add(self, floors: list[float]) -> list[int]:
        """New series' numbers. `floors`: the least spread believed of each, in log units (0.01: 1 %)."""
        more = len(floors)
        for name, column in self._columns.items():
            self._columns[name] = np.concatenate([column, np.zeros(more, column.dtype)])
        self.state = np.concatenate([self.state, np.zeros((ROWS, more))], axis=1)
        numbers = list(range(self.count, self.count + more))
        self.count += more
        self._view()
        self.floor[numbers] = self.state[SPREAD, numbers] = floors
        self.unit[numbers], self.cap[numbers] = 1.0, np.nan
        self.quiet[numbers] = self.warm_up.begin(numbers)
        self.state[TAIL, numbers], self.state[EXCESS, numbers] = TAIL_PRIOR
        self.cadence.add(more)
        self.past = _longer(self.past, more)
        return numbers

    def usual(self, numbers: npt.NDArray[np.intp]) -> Floats:
        """The fast levels as they are now, as values; NaN for a series of which nothing has come."""
        values = natural(self.state[FAST, numbers], self.signed[numbers], self.unit[numbers])
        return np.where(self.come[numbers], values, np.nan)

    def settle(self, number: int, level: float, samples: float = 0.0, floor: float = 0.0) -> None:
        """Say what the level now is: it moved for a known reason. For some samples its spread is at least `floor`."""
        self.state[LEVEL, number] = self.state[FAST, number] = level
        self.state[DRIFT, number] = self.state[GROWTH, number] = 0.0
        if samples:
            self.eased[number], self.eased_floor[number] = samples, floor

    # -- kept over restarts -------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """All of it, as arrays and plain values."""
        past = {"steps": self.past.steps, "values": self.past.values, "count": self.past.count}
        return {
            "state": self.state,
            "columns": dict(self._columns),
            "past": past,
            "cadence": self.cadence.dump(),
            "warm_up": self.warm_up.dump(),
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> "Baselines":
        """What `dump` gave."""
        base = cls()
        base.state = np.array(data["state"], np.float64)
        base.count = base.state.shape[1]
        base._columns = {name: np.array(data["columns"][name], kind) for name, kind in _COLUMNS.items()}
        base.past = Past(*(np.array(data["past"][name]) for name in ("steps", "values", "count")))
        base.cadence, base.warm_up = Cadence.load(data["cadence"]), WarmUp.load(data["warm_up"])
        base._view()
        return base

    def _view(self) -> None:
        for name, column in self._columns.items():
            setattr(self, name, column)


def natural(logs: Floats, signed: Mask, unit: Floats) -> Floats:
    """`logs` [..., S], log-space levels, as values."""
    values = np.exp(logs)
    if signed.any():
        values[..., signed] = np.sinh(logs[..., signed]) * unit[signed]
    return values


def _longer(past: Past, more: int) -> Past:
    return Past(
        np.concatenate([past.steps, np.zeros((more, CURVE), np.int64)]),
        np.concatenate([past.values, np.zeros((more, CURVE))]),
        np.concatenate([past.count, np.zeros(more, np.int64)]),
    )
