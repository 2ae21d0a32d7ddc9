"""Curves of several runs in the same cells of an axis, on a scale where noise is about even.

Rules of this file: pure. What is not finite is no part of a mean, and never lost: a cell says that it holds it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...store.buckets import Buckets
from .places import Places

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Curve:
    """Buckets [n] of a series on an axis: where each stands, its mean (NaN: nothing finite in it), how many of its
    values are finite and how many are not."""

    x: Floats
    mean: Floats
    finite: Floats
    broken: Floats


@dataclass(frozen=True)
class Cells:
    """A curve in g cells of equal width: the mean of what is finite, NaN without; `is_broken`: at least half of what
    the cell holds is not finite; `has`: it holds anything."""

    mean: Floats
    is_broken: Mask
    has: Mask


def curve_of(buckets: Buckets, places: Places) -> Curve:
    """A series' buckets where they stand."""
    broken = (buckets.nan + buckets.pos_inf + buckets.neg_inf).astype(np.float64)
    finite = buckets.count - broken
    mean = np.where(finite > 0, buckets.mean, np.nan)
    return Curve(places.at(buckets.step.astype(np.int64)), mean, finite, broken)


def in_cells(curve: Curve, low: float, high: float, cells: int) -> Cells:
    """What of the curve stands in [low, high], in `cells` cells."""
    width = (high - low) / cells if high > low else 1.0
    within = (curve.x >= low) & (curve.x <= high)
    cell = np.minimum(((curve.x[within] - low) / width).astype(np.int64), cells - 1)
    finite, broken = curve.finite[within], curve.broken[within]
    counted = np.bincount(cell, finite, cells)
    lost = np.bincount(cell, broken, cells)
    share = np.divide(finite, counted[cell], out=np.zeros_like(finite), where=counted[cell] > 0)
    # weights first: the sum of several values near the largest float is infinite
    summed = np.bincount(cell, np.where(finite > 0, np.nan_to_num(curve.mean[within]) * share, 0.0), cells)
    mean = np.where(counted > 0, np.clip(summed, -LARGEST, LARGEST), np.nan)
    return Cells(mean, (lost > 0) & (2 * lost >= counted + lost), counted + lost > 0)


def scaled(*curves: Floats) -> list[Floats]:
    """The values on one scale: logarithms where all are above 0, else asinh in units of the usual magnitude.

    NaN stays NaN. On either scale equal distances are about equal factors, so that a loss of 700 and one of 0.01 are
    judged alike.
    """
    known = [each[np.isfinite(each)] for each in curves]
    everything = np.concatenate(known) if known else np.zeros(0)
    if len(everything) and (everything > 0).all():
        return [np.log(each) for each in curves]
    unit = float(np.median(np.abs(everything))) if len(everything) else 1.0
    if not unit > 0:
        unit = float(np.abs(everything).max()) if len(everything) and np.abs(everything).max() > 0 else 1.0
    with np.errstate(over="ignore"):
        return [np.arcsinh(np.clip(each / unit, -LARGEST, LARGEST)) for each in curves]
