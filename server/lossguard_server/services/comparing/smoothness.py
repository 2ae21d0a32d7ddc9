"""How smooth a curve is: how often it leaps, and how much it moves from step to step.

Formula   increments between neighbouring points on a log scale (curves.scaled). In blocks of BLOCK increments sigma =
          1.4826 MAD: noise changes in the course of a training. Spikes: increments beyond 6 sigma of their block,
          upwards (the way back down from a spike is no second one). Roughness: the MAD of all increments; on a log
          scale it is a relative change a step.
Source    6 sigma as in OLMo's skip of spikes; of Gaussian noise once in 10^9 steps.

Rules of this file: pure. Increments at steps where a weight was changed on purpose are left out, and so are those to
and from values that are not finite, which are counted by themselves. Points that do not follow each other step by step
as the others do (a gap of the log) make no increment.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from lossguard.protocol.frames import Columns, Steps

from .curves import Mask, scaled

SIGMAS = 6.0
BLOCK = 512
MAD_TO_SIGMA = 1.4826
TINY = 1e-9  # of a curve that stands still, every move is a leap
LEAST = 32  # increments; of fewer nothing is said


@dataclass(frozen=True)
class Smoothness:
    """`spikes` of `increments` are leaps; `roughness`: the MAD of the increments, a relative change a step."""

    spikes: int
    increments: int
    roughness: float
    first_spike: int | None  # the step that it leapt to

    @property
    def score(self) -> float:
        """The share of steps that are spikes."""
        return self.spikes / self.increments


def smoothness(windows: Sequence[tuple[Steps, Columns]], planned: Collection[int] = ()) -> Smoothness | None:
    """Of points in windows of consecutive ones; None where there are too few. `planned`: steps of planned changes."""
    found = [_increments(steps, values, planned) for steps, values in _on_one_scale(windows)]
    steps = np.concatenate([each[0] for each in found]) if found else np.zeros(0, np.int64)
    moved = np.concatenate([each[1] for each in found]) if found else np.zeros(0)
    if len(moved) < LEAST:
        return None
    is_spike = np.concatenate([_leaps(each[1]) for each in found if len(each[1])])
    where = steps[is_spike]
    return Smoothness(
        spikes=int(is_spike.sum()),
        increments=len(moved),
        roughness=float(np.median(np.abs(moved - np.median(moved)))),
        first_spike=int(where[0]) if len(where) else None,
    )


def _on_one_scale(windows: Sequence[tuple[Steps, Columns]]) -> list[tuple[Steps, Columns]]:
    values = scaled(*(np.where(np.isfinite(values), values, np.nan) for _, values in windows))
    return [(steps, each) for (steps, _), each in zip(windows, values, strict=True)]


def _increments(steps: Steps, values: Columns, planned: Collection[int]) -> tuple[Steps, Columns]:
    """(the steps [n] that were moved to, by how much [n])."""
    moved, apart = np.diff(values), np.diff(steps)
    kept = ~np.isnan(moved) & (apart <= 2 * np.median(apart) if len(apart) else True)
    if planned:
        # the point that comes next behind a planned change has it in its increment
        at = np.searchsorted(steps, np.array(sorted(planned)), "left") - 1
        kept[at[(at >= 0) & (at < len(kept))]] = False
    return steps[1:][kept], moved[kept]


def _leaps(moved: Columns) -> Mask:
    blocks = [moved[at : at + BLOCK] for at in range(0, len(moved), BLOCK)]
    if len(blocks) > 1 and len(blocks[-1]) < LEAST:  # a rest of few increments has no sigma of its own
        blocks[-2:] = [np.concatenate(blocks[-2:])]
    return np.concatenate([_beyond(block) for block in blocks])


def _beyond(block: Columns) -> Mask:
    centre = np.median(block)
    sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(block - centre))), TINY)
    return np.asarray(block - centre > SIGMAS * sigma)
