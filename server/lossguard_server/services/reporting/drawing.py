"""Buckets of the store to a line that can be drawn: fewer points, and every extreme.

Rules of this file: pure. Of each bucket the least and the greatest finite value are drawn, the one first that the
bucket began nearer to; what is not finite is a gap in the line and a mark of its own, however few pixels there are.
"""

from collections.abc import Sequence

import numpy as np

from ...store.buckets import Buckets
from .record import Chart, Line, NotFinite


def line_of(series: str, label: str, look: int, buckets: Buckets, last_step: int) -> Line:
    """`last_step`: the last that the buckets may reach."""
    lost = buckets.nan + buckets.pos_inf + buckets.neg_inf
    has = buckets.count > lost
    is_pair = has & (buckets.min != buckets.max)
    with np.errstate(invalid="ignore", over="ignore"):
        begins_high = np.abs(buckets.first - buckets.max) < np.abs(buckets.first - buckets.min)
    one, other = np.where(begins_high, (buckets.max, buckets.min), (buckets.min, buckets.max))
    drawn = np.stack([np.where(has, one, np.nan), other], axis=1)
    keep = np.stack([np.ones_like(is_pair), is_pair], axis=1)
    steps, values = np.repeat(buckets.step, 2).reshape(-1, 2)[keep], drawn[keep]
    if len(buckets.step) and buckets.count[-1] > 1 and np.isfinite(buckets.last[-1]):
        # the newest value stands at its own step
        steps, values = np.append(steps, max(last_step, int(steps[-1]))), np.append(values, buckets.last[-1])
    return Line(
        series=series,
        label=label,
        look=look,
        steps=steps,
        values=values,
        not_finite=tuple(_lost(buckets, int(i), last_step) for i in np.flatnonzero(lost)),
        points=int(buckets.count.sum()),
        buckets=len(buckets.step),
        mean_steps=buckets.step,
        mean=np.where(has, buckets.mean, np.nan),
    )


def sampling_text(chart: Chart) -> str:
    """ "every point", or "1 of 40 points, extremes kept"."""
    ratios = [line.points / line.buckets for line in chart.lines if line.buckets]
    one_of = round(max(ratios, default=1.0))
    if all(ratio == 1.0 for ratio in ratios):
        return "every point"
    if chart.form == "shares":
        return f"the mean of {max(one_of, 2):,} points"
    if chart.form == "areas":
        return f"areas: the mean of {max(one_of, 2):,} points; the line: 1 of {max(one_of, 2):,} points, extremes kept"
    return f"1 of {max(one_of, 2):,} points, extremes kept"


def stacked(lines: Sequence[Line]) -> tuple[np.ndarray, np.ndarray]:
    """(steps [n], means [K, n]) of lines on common steps; a line adds 0 before its first step, and where it is not
    finite."""
    known = [line.mean_steps for line in lines]
    steps = np.unique(np.concatenate(known)) if known else np.empty(0, np.int64)
    return steps, np.array([_as_of(line, steps) for line in lines]).reshape(len(lines), len(steps))


def shares(means: np.ndarray) -> np.ndarray:
    """[K, n] of magnitudes: each one's part of their sum; NaN where all are 0."""
    sizes = np.abs(means)
    largest = sizes.max(axis=0, initial=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = sizes / np.where(largest > 0, largest, np.nan)  # the plain sum may overflow
        found: np.ndarray = parts / parts.sum(axis=0)
    return found


def _as_of(line: Line, steps: np.ndarray) -> np.ndarray:
    at = line.mean_steps.searchsorted(steps, side="right") - 1
    if not len(line.mean):
        return np.zeros(len(steps))
    found: np.ndarray = np.where(at >= 0, np.nan_to_num(line.mean[at], nan=0.0), 0.0)
    return found


def _lost(buckets: Buckets, i: int, last_step: int) -> NotFinite:
    first = int(buckets.step[i])
    behind = int(buckets.step[i + 1]) - 1 if i + 1 < len(buckets.step) else max(last_step, first)
    to = first if buckets.count[i] == 1 else behind
    return NotFinite(first, to, int(buckets.nan[i]), int(buckets.pos_inf[i]), int(buckets.neg_inf[i]))
