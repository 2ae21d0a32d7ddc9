"""Which steps before and after a command are compared, and until when that is waited for.

After    begins where the command is fully in force: behind its ramp (of a ramp of more than 500 steps: behind 500 of
         them), and ends `length` steps later, or with its lease, or where somebody else intervenes.
Before   as many steps, but none in which something else was changed.
Length   50 steps, or as many as the noisier of total and share needs (robust.samples_needed), at most 500 samples;
         where a run logs every k-th step, a sample takes k of them.

Rules of this file: pure; steps are half-open, [first, behind). A stretch that is too short says why, in words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossguard.protocol.frames import Steps

from .robust import MIN_SAMPLES, Samples, samples_needed

STEPS = 50
SAMPLES_MAX = 500
RAMP_MAX = 500  # of a longer ramp it is judged what these steps did


@dataclass(frozen=True)
class Mark:
    """Something that happened at a step and changes what is measured: another command, a stage."""

    step: int
    text: str


@dataclass(frozen=True)
class Stretch:
    """Steps [before_first, at_step) are compared with [after_first, behind)."""

    at_step: int
    before_first: int
    after_first: int
    behind: int
    cut_by: Mark | None = None  # what ended it early

    @property
    def steps(self) -> int:
        """So many steps after the command were looked at."""
        return self.behind - self.at_step


def cadence(steps: Steps) -> int:
    """Steps from one sample to the next, usually."""
    return max(1, int(np.median(np.diff(steps)))) if len(steps) > 1 else 1


def length(before: Sequence[Samples]) -> int:
    """In steps. `before`: of each series that counts, up to 500 samples before the command."""
    per_sample = max((cadence(each.steps) for each in before), default=1)
    needed = min(max((samples_needed(each) for each in before), default=0), SAMPLES_MAX)
    return max(STEPS, per_sample * max(needed, MIN_SAMPLES))


def stretch(at_step: int, args: Mapping[str, Any], length: int, marks: Sequence[Mark]) -> Stretch:
    """`marks`: what else happened, before and after; what was done at the same step is a part of it."""
    ramp, lease = int(args.get("ramp_steps") or 0), args.get("lease_steps")
    in_force = at_step + min(ramp, RAMP_MAX)
    behind = in_force + length
    if lease is not None and behind > at_step + int(lease):
        behind = at_step + int(lease)
        in_force = max(at_step, min(in_force, behind - length))  # a ramp that its lease cuts short
    cut = min((mark for mark in marks if at_step < mark.step < behind), key=lambda mark: mark.step, default=None)
    if cut is not None:
        behind = cut.step
    changed = max((mark.step for mark in marks if mark.step < at_step), default=0)
    return Stretch(at_step, max(0, changed, at_step - length), in_force, behind, cut)
