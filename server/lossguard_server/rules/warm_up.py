"""A series' first samples, and its level and spread once there are enough of them.

Rules of this file: only samples that count come here (finite, of an update that was taken); one series at a time, as
warming up is rare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .window import Floats, Mask

WARM_UP_SAMPLES = 30
RE_WARM_SAMPLES = 10
TINY = 1e-30

# between the 10 % and the 90 % quantile; the median absolute deviation would not see the second kind of batches of a
# run whose losses are 1.2 or 3.3 (mixup), and call each of them a jump
_DECILES_TO_SIGMA = 2.563


@dataclass(frozen=True)
class Started:
    """What is known of a series at the end of its warm-up; level and spread in log space."""

    level: float
    spread: float
    unit: float


class WarmUp:
    """The samples of the series that are warming up, by number."""

    def __init__(self) -> None:
        self._samples: dict[int, list[float]] = {}

    def begin(self, numbers: Sequence[int]) -> int:
        """These series are new, or not what they were. Returns how many samples it takes."""
        for number in numbers:
            self._samples[number] = []
        return WARM_UP_SAMPLES

    def again(self, numbers: npt.NDArray[np.intp], quiet: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """These came at a new cadence: how many samples it takes each; those that were warming up go on."""
        for number in numbers.tolist():
            self._samples.setdefault(number, [])
        return np.maximum(quiet, RE_WARM_SAMPLES)

    def take(self, number: int, value: float) -> bool:
        """A sample came. True for the first one of a series that is new."""
        samples = self._samples.setdefault(number, [])
        samples.append(value)
        return len(samples) == 1

    def start(self, number: int, is_signed: bool, unit: float) -> Started:
        """The samples are enough: a robust line takes the fall of a young loss out of the spread. A signed series that
        is new finds its unit; one that came at a new cadence keeps it."""
        values = np.array(self._samples.pop(number))[-WARM_UP_SAMPLES:]
        if is_signed and len(values) == WARM_UP_SAMPLES:
            unit = max(float(np.median(np.abs(values))), TINY)
        y = logs_of(values[:, None], np.array([is_signed]), np.array([unit]))[:, 0]
        return Started(float(np.median(y[-RE_WARM_SAMPLES:])), _scatter(y), unit)

    def dump(self) -> dict[str, Any]:
        return {str(number): list(samples) for number, samples in self._samples.items()}

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> "WarmUp":
        warm_up = cls()
        warm_up._samples = {int(number): [float(value) for value in samples] for number, samples in data.items()}
        return warm_up


def logs_of(values: Floats, signed: Mask, unit: Floats) -> Floats:
    """`values` [T, S] in log space; asinh for signed series."""
    y = np.log(np.maximum(np.abs(values), TINY))
    if signed.any():
        y[:, signed] = np.arcsinh(values[:, signed] / unit[signed])
    return np.asarray(y)


def _scatter(y: Floats) -> float:
    """Sigma of `y` about a robust line; 0 where there are too few."""
    half = len(y) // 2
    if half == 0:
        return 0.0
    slope = float(np.median(y[half : 2 * half] - y[:half])) / half
    low, high = np.quantile(y - slope * np.arange(len(y)), (0.1, 0.9))
    return float(high - low) / _DECILES_TO_SIGMA
