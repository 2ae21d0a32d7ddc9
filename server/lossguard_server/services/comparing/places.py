"""Where a run's steps stand on an axis that it shares with other runs: by step, by stage, by time.

Rules of this file:
- Pure. On every axis a place grows with the step, and it is a straight line within a piece.
- By stage, stages of the same name (the n-th time it is entered) begin at one place in all runs; a stage takes the
  width of its longest stay, so a run that stayed for less has nothing behind its own end.
- By time, a place is the sum of step times so far: training time. Pauses and what a rollback took back are not in it.
- The number of pieces is bounded, whatever the length of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossguard.protocol.frames import Steps
from lossguard.protocol.steering import Plan

from ...errors import NoStages, NoTimes
from ...store.buckets import Buckets
from .saying import listed

Floats = npt.NDArray[np.float64]

STEP, STAGE, TIME = "step", "stage", "time"
AXES = (STEP, STAGE, TIME)
STAYS_MAX = 1_000  # changes of a schedule that are looked at: somebody may have steered a run for weeks
TIME_PIECES = 512  # as many as a chart has room for
TIMED_SHARE = 0.5  # of a run's steps whose step times are known; with less the sum would be a guess


@dataclass(frozen=True)
class Places:
    """Pieces [k] in order: the first step of each, where it stands, and how far a step goes. `last_step`: the end."""

    steps: Steps
    x: Floats
    slope: Floats
    last_step: int

    def at(self, steps: Steps) -> Floats:
        """Where steps stand, [n] -> [n]; those before the first piece are on its line too."""
        piece = np.clip(self.steps.searchsorted(steps, "right") - 1, 0, None)
        return np.asarray(self.x[piece] + (steps - self.steps[piece]) * self.slope[piece], np.float64)

    def step_from(self, x: float) -> int:
        """The first step that stands at `x` or behind it."""
        piece = max(0, int(self.x.searchsorted(x, "right")) - 1)
        behind = int(np.ceil((x - self.x[piece]) / self.slope[piece] - 1e-9)) if self.slope[piece] > 0 else 0
        step = int(self.steps[piece]) + max(0, behind)
        return min(step, int(self.steps[piece + 1])) if piece + 1 < len(self.steps) else step

    def step_to(self, x: float) -> int:
        """The last step that stands at `x` or before it."""
        piece = max(0, int(self.x.searchsorted(x, "right")) - 1)
        behind = int(np.floor((x - self.x[piece]) / self.slope[piece] + 1e-9)) if self.slope[piece] > 0 else 0
        end = int(self.steps[piece + 1]) - 1 if piece + 1 < len(self.steps) else self.last_step
        return min(int(self.steps[piece]) + max(0, behind), end)

    @property
    def ends(self) -> tuple[float, float]:
        """The first place and the last."""
        return float(self.x[0]), float(self.at(np.array([self.last_step]))[0])

    def to_dict(self) -> dict[str, Any]:
        """{step: [k], x: [k], slope: [k], last_step}."""
        return {
            "step": self.steps.tolist(),
            "x": self.x.tolist(),
            "slope": self.slope.tolist(),
            "last_step": self.last_step,
        }


@dataclass(frozen=True)
class Stay:
    """A run was in the stage `name` for the steps [begin, end); it was there `before` times already."""

    name: str
    begin: int
    end: int
    before: int


@dataclass(frozen=True)
class Band:
    """A stage on the common axis."""

    name: str
    low: float
    high: float


def by_step(first_step: int, last_step: int) -> Places:
    """A step stands where it is."""
    return _line([first_step], [float(first_step)], [1.0], last_step)


def stays(plan: Plan, first_step: int, last_step: int) -> list[Stay]:
    """In which stages the run was over [first_step, last_step]; "" before the first; [] where none is declared."""
    if not plan.stages:
        return []
    found: list[Stay] = []
    step: int | None = first_step
    for _ in range(STAYS_MAX):
        if step is None or step > last_step:
            break
        after = plan.changes_after(step)
        end = min(after[0] if after else last_step + 1, last_step + 1)
        index = plan.stage_index_at(step)
        name = "" if index is None else plan.stages[index].name
        if found and found[-1].name == name:
            found[-1] = Stay(name, found[-1].begin, end, found[-1].before)
        else:
            found.append(Stay(name, step, end, sum(stay.name == name for stay in found)))
        step = after[0] if after else None
    return found


def by_stage(runs: Mapping[str, Sequence[Stay]]) -> tuple[dict[str, Places], list[Band]]:
    """Each run's places, and where the stages stand. Raises NoStages."""
    without = [run for run, each in runs.items() if not any(stay.name for stay in each)]
    if without:
        raise NoStages(f"Without stages: {listed(without)}.")
    order, lengths = list[tuple[str, int]](), dict[tuple[str, int], int]()
    for each in runs.values():
        at = -1
        for stay in each:
            key = (stay.name, stay.before)
            if key not in lengths:
                order.insert(at + 1, key)
            at = order.index(key)
            lengths[key] = max(lengths.get(key, 0), stay.end - stay.begin)
    shared = [{stay.name for stay in each if stay.name} for each in runs.values()]
    if not set.intersection(*shared):
        raise NoStages("No stage has the same name in all of them.")
    offsets, end = dict[tuple[str, int], float](), 0.0
    for key in order:
        offsets[key], end = end, end + lengths[key]
    bands = [Band(name, offsets[name, before], offsets[name, before] + lengths[name, before]) for name, before in order]
    return {run: _staged(each, offsets) for run, each in runs.items()}, bands


def by_time(run: str, step_times: Buckets | None, first_step: int, last_step: int) -> Places:
    """A step stands at the sum of the step times before it, in seconds. Raises NoTimes."""
    if step_times is None or not len(step_times.step):
        raise NoTimes(f"{run} has no series step_time_s.")
    counted = int(step_times.count.sum())
    if counted < TIMED_SHARE * (last_step - first_step + 1):
        raise NoTimes(f"{run} has step times for {counted:,} of {last_step - first_step + 1:,} steps only.")
    means = np.where(np.isfinite(step_times.mean) & (step_times.mean >= 0), step_times.mean, np.nan)
    if not np.isfinite(means).any():
        raise NoTimes(f"No step time of {run} is a number.")
    means = np.where(np.isnan(means), np.nanmedian(means), means)
    steps = step_times.step.astype(np.int64)
    steps[0] = min(int(steps[0]), first_step)
    lasted = np.diff(steps) * means[:-1]
    return _line(steps.tolist(), np.concatenate([[0.0], np.cumsum(lasted)]).tolist(), means.tolist(), last_step)


def _staged(found: Sequence[Stay], offsets: Mapping[tuple[str, int], float]) -> Places:
    steps, x, end = list[int](), list[float](), -np.inf
    for stay in found:
        place = offsets[stay.name, stay.before]
        if place < end:  # stages in another order than in the runs before: what cannot stand in order stands behind
            place = end
        steps.append(stay.begin)
        x.append(place)
        end = place + stay.end - stay.begin
    return _line(steps, x, [1.0] * len(steps), found[-1].end - 1)


def _line(steps: Sequence[int], x: Sequence[float], slope: Sequence[float], last_step: int) -> Places:
    return Places(np.array(steps, np.int64), np.array(x, np.float64), np.array(slope, np.float64), last_step)
