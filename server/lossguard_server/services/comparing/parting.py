"""Where two runs part, by one series: the first place from which they differ by more than their noise, for a while.

Formula   both curves in CELLS cells of what they share of the axis, on a log scale (curves.scaled); d = other - one.
          Over windows of WINDOW cells m = median(d). Noise: sigma = sqrt(sigma_one^2 + sigma_other^2), each run's own
          from neighbouring cells (1.4826 MAD of increments / sqrt 2). SE = 1.2533 sigma / sqrt(WINDOW), and at least
          what medians of windows scatter by (MAD of their second differences / sqrt 6, both runs): neighbours that go
          together make a median worse than the formula says.
          Parted: |m| > K SE, and more than SMALLEST, with one sign, in this window and the HOLD ones behind it (those
          that there are). Where in the window: the split with the largest step between both sides' means (CUSUM).
Source    K = 5 of a standard error that is itself a guess: two runs that differ by their seed alone (log-normal noise
          of 1 to 30 %, a falling trend, correlation 0 to 0.8) part in at most 1 of 360 pairs: tests/unit/services/
          test_comparing_parting.py.

Rules of this file: pure. Where one run has no finite value and the other has, they are apart, whatever the noise. Where
both have none, or one has no value at all, nothing is said.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from .curves import Cells, Floats, Mask, scaled

Numbers = npt.NDArray[np.int64]

CELLS = 512
WINDOW = 16
HOLD = 2 * WINDOW
K = 5.0
SMALLEST = 0.01  # a log ratio: 1 % apart is nothing that anybody acts on
MAD_TO_SIGMA = 1.4826
MEDIAN_SE = 1.2533  # sqrt(pi / 2)
LEAST_WINDOWS = 8  # of which the scatter can be told
LEAST_CELLS = 2 * WINDOW  # that both hold; with fewer nothing can be told from noise


@dataclass(frozen=True)
class Parting:
    """They part at `cell`. `one`, `other`: medians behind it, NaN where most of it is not finite; `sigmas`: how far
    apart, in units of a cell's joint noise (inf where there is none, or one is not finite)."""

    cell: int
    one: float
    other: float
    sigmas: float
    is_broken: bool  # from there on one of them is not finite


def parting(one: Cells, other: Cells) -> Parting | None:
    """Where they part; None where they do not, as far as they can be compared."""
    both = np.flatnonzero(one.has & other.has)
    broken = _first_broken(one.is_broken[both], other.is_broken[both])
    sigma, split = 0.0, broken
    if len(both) >= LEAST_CELLS:
        difference, sigma, error = _difference(one, other, both)
        at = _first_apart(difference, error)
        moved = None if at is None else _split(difference, at)
        split = moved if broken is None else broken if moved is None else min(moved, broken)
    if split is None:
        return None
    behind = both[split : split + WINDOW]
    is_broken = broken is not None and split == broken
    apart = 0.0 if is_broken else float(np.nanmedian(difference[split : split + WINDOW]))
    return Parting(
        cell=int(both[split]),
        one=_median(one, behind),
        other=_median(other, behind),
        sigmas=abs(apart) / sigma if sigma > 0 and not is_broken else np.inf,
        is_broken=is_broken,
    )


def is_comparable(one: Cells, other: Cells) -> bool:
    """They share enough cells to be told from noise."""
    return int((one.has & other.has).sum()) >= LEAST_CELLS


def _difference(one: Cells, other: Cells, both: Numbers) -> tuple[Floats, float, float]:
    """(d [n], NaN where one of them is not finite; sigma of a cell; the standard error of a window's median)."""
    left, right = scaled(_finite(one, both), _finite(other, both))
    sigma = float(np.hypot(_sigma(left), _sigma(right)))
    scatter = float(np.hypot(_scatter(left), _scatter(right)))
    return right - left, sigma, max(MEDIAN_SE * sigma / np.sqrt(WINDOW), scatter)


def _finite(cells: Cells, both: Numbers) -> Floats:
    return np.where(cells.is_broken[both], np.nan, cells.mean[both])


def _sigma(curve: Floats) -> float:
    """Of a cell: by increments, so that a trend is no noise."""
    steps = np.diff(curve[~np.isnan(curve)])
    return MAD_TO_SIGMA * float(np.median(np.abs(steps - np.median(steps)))) / np.sqrt(2) if len(steps) else 0.0


def _scatter(curve: Floats) -> float:
    """Of the median of a window: by second differences, so that neither a level nor a slope is scatter."""
    known = curve[~np.isnan(curve)]
    windows = len(known) // WINDOW
    if windows < LEAST_WINDOWS:
        return 0.0
    medians = np.median(known[: windows * WINDOW].reshape(windows, WINDOW), axis=1)
    return float(MAD_TO_SIGMA * np.median(np.abs(np.diff(medians, 2))) / np.sqrt(6))


def _first_apart(difference: Floats, error: float) -> int | None:
    """The beginning of the first window that is apart and stays so, on one side, for the windows behind it."""
    medians = np.median(sliding_window_view(np.nan_to_num(difference, nan=0.0), WINDOW), axis=1)
    found = []
    for side in (medians, -medians):
        is_apart = side > max(K * error, SMALLEST)
        # at the end there are fewer windows to stay in; a single one is not "for a while"
        stays = sliding_window_view(np.append(is_apart, np.ones(HOLD, np.bool_)), HOLD + 1)
        lasting: Mask = np.asarray(stays.all(axis=1))
        found += np.flatnonzero(lasting[: max(1, len(is_apart) - WINDOW // 2)])[:1].tolist()
    return min(found, default=None)


def _first_broken(one: Mask, other: Mask) -> int | None:
    """The first cell from which one of them is not finite, and stays so, while the other is."""
    only_one: Mask = np.asarray(one != other, np.bool_)
    for start in np.flatnonzero(only_one).tolist():
        if 2 * int(only_one[start : start + HOLD].sum()) > len(only_one[start : start + HOLD]):
            return int(start)
    return None


def _split(difference: Floats, at: int) -> int:
    """Where around the window that begins at `at` the difference steps up: the window is apart once half of it is."""
    low = max(0, at - WINDOW // 2)
    around = np.nan_to_num(difference[low : at + WINDOW], nan=0.0)
    level = float(np.median(np.nan_to_num(difference[at : at + WINDOW], nan=0.0)))
    if low == 0 and 2 * abs(float(np.median(around[: WINDOW // 4]))) > abs(level):
        return 0  # they were never together
    kept = np.clip(around, -2 * abs(level), 2 * abs(level))
    counts = np.arange(1, len(kept))
    left = np.cumsum(kept)[:-1] / counts
    right = (kept.sum() - np.cumsum(kept)[:-1]) / (len(kept) - counts)
    weight = np.sqrt(counts * (len(kept) - counts))
    return low + 1 + int(np.argmax(np.abs(right - left) * weight))


def _median(cells: Cells, behind: Numbers) -> float:
    """What a curve is there: NaN where most of it is not finite."""
    known = _finite(cells, behind)
    return float(np.median(known[~np.isnan(known)])) if 2 * np.isnan(known).sum() < len(known) else float("nan")
