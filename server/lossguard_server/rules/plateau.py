"""The loss has stopped improving, though it is not where it was meant to go.

Formula   mean of log loss (winsorised at 3 spreads) over windows of 500 samples. Flat: three windows in a row that are
          not 0.1 % better than the one before, and whose own slope is not 2 standard errors below 0.
          With a declared range of loss/total, only above its upper end; without one, only while the loss is within 10 %
          of where it began, that is, has never learned.
Defaults  as above. A warning, never critical.
Source    SageMaker's LossNotDecreasing (10 steps) has 218 false alarms per 100,000 healthy samples, because a loss that
          has converged is flat and noise is not progress.
False     it takes 2,000 samples; windows begin anew where weights move or a stage begins, and it is silent in the last
alarms    tenth of a learning rate's decay.
Remedy    words: the learning rate, the data, or a target that is out of reach.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log, sqrt
from typing import Any

import numpy as np

from lossguard.protocol.names import TOTAL

from .base import AT_ONCE, Finding, Hits, Info, Memory, Rule, Severity, parameter
from .moment import Moment
from .rise import NOTHING
from .window import Counts, Floats, Window

NAME = "plateau"
CLIP = 3.0
REPEAT = 10  # rows between two hits of one plateau: often enough to keep its alert open
INFO = Info(
    "R17",
    NAME,
    "The loss has stopped improving",
    "loss/total",
    "Three windows of 500 samples, none 0.1 % better than the one before, none falling within itself; above the "
    "declared range, or, where none is declared, within 10 % of where the loss began.",
    "SageMaker's LossNotDecreasing over 10 steps has 218 false alarms per 100,000 healthy samples.",
    "A loss that has converged below its target, or that has learned at all, is left alone.",
    warm_up=30,
)


@dataclass(frozen=True)
class Parameters:
    """Windows are in samples of the total."""

    samples: float = parameter(500, "samples in a window", 20, 1e6, "samples", whole=True)
    windows: float = parameter(3, "so many flat windows in a row", 1, 100, whole=True)
    better: float = parameter(0.001, "the improvement that counts, of the window before", 0.0, 0.5)
    errors: float = parameter(2.0, "a fall of so many standard errors counts", 0.5, 100.0)
    learned: float = parameter(
        0.9, "below this part of its first window it has learned, where no target is declared", 0.01, 1.0
    )
    decayed: float = parameter(0.1, "silent below this part of the largest learning rate", 0.0, 1.0)


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> Sequence[Hits]:
    """About loss/total, a warning. The memory holds the sums of the window of samples that is open, what the last
    ones were, and since which step it has been flat."""
    number = window.number(TOTAL)
    if number is None:
        return []
    rows = np.flatnonzero(window.judged[:, number])
    if not len(rows):
        return []
    size = int(parameters.samples)
    if memory.get("size") != size:  # what a window of another size holds is of no use to this one
        memory.update(_nothing(), size=size)
    levels = window.levels
    reach = CLIP * levels.scale[rows, number]
    level = levels.level[rows, number]
    y = level + np.clip(levels.y[rows, number] - level, -reach, reach)
    rates = _rates(window, memory)
    hits: list[int] = []
    for first, last, is_new in _stretches(window, rows, size, memory):
        if is_new:
            memory.update(_nothing())
        hits += _follow(y[first:last], rows[first:last], rates, window, parameters, memory)
    if not hits:
        return []
    return [
        Hits(TOTAL, np.array(hits), Severity.WARNING, AT_ONCE, lambda row: _explain(Moment(window, row), parameters))
    ]


def _nothing() -> dict[str, Any]:
    """What is known at the beginning of a stretch. `began` is of the run, and stays."""
    return {"count": 0, "sums": np.zeros(3), "mean": inf, "flat": 0, "since": 0}


def _stretches(window: Window, rows: np.ndarray, size: int, memory: Memory) -> Iterator[tuple[int, int, bool]]:
    """(first, last, is_new) positions in `rows` between changes of weights or stage; those in between that are too
    short for anything to happen are left out."""
    stages: Counts = window.stages[rows]
    before = memory.get("stage", int(stages[0]))
    changed = stages != np.concatenate([[before], stages[:-1]])
    memory["stage"] = int(stages[-1])
    # a weight may move in a row that carries no judged total: the first one after it begins anew
    moves = np.searchsorted(rows, np.flatnonzero(window.moved))
    changed[moves[moves < len(rows)]] = True
    cuts = np.flatnonzero(changed | memory.pop("moved", False) & (np.arange(len(rows)) == 0)).tolist()
    if (moves == len(rows)).any():
        memory["moved"] = True
    edges = [0, *cuts, len(rows)]
    for i, (first, last) in enumerate(pairwise(edges)):
        is_long = last - first >= size or i == 0
        if is_long or i == len(cuts):
            yield first, last, i > 0


def _rates(window: Window, memory: Memory) -> Floats:
    """[T]: the learning rate, relative to its largest so far; 1 where none is reported."""
    number = window.number("lr")
    if number is None:
        return np.ones(len(window.steps))
    seen = np.where(window.live[:, number], window.values[:, number], np.nan)
    newest = np.maximum.accumulate(np.where(np.isnan(seen), -1, np.arange(len(seen))))
    rates = np.where(newest >= 0, seen[newest], memory.get("rate", np.nan))
    largest = np.fmax.accumulate(np.concatenate([[memory.get("rate_largest", np.nan)], rates]))
    memory["rate"], memory["rate_largest"] = float(rates[-1]), float(largest[-1])
    relative = np.divide(rates, largest[1:], out=np.ones_like(rates), where=largest[1:] > 0)
    return np.where(np.isnan(relative), 1.0, relative)


def _follow(
    y: Floats, rows: np.ndarray, rates: Floats, window: Window, parameters: Parameters, memory: Memory
) -> list[int]:
    """Take the samples of a stretch; the rows at which it is flat, every tenth of them."""
    size = int(parameters.samples)
    hits: list[int] = []
    at = 0
    while at < len(y):
        count = memory["count"]
        step = min(size - count, len(y) - at)
        if memory["since"]:
            own = np.arange(at, at + step)
            hits += rows[own[(count + own - at) % REPEAT == 0]].tolist()
        t = np.arange(count, count + step) - (size - 1) / 2
        part = y[at : at + step]
        sums = np.cumsum(np.column_stack([memory["sums"], np.vstack([part, t * part, part * part])]), axis=1)[:, -1]
        memory["sums"], memory["count"] = sums, count + step
        at += step
        if memory["count"] == size:
            _close(size, int(rows[at - 1]), float(rates[rows[at - 1]]), window, parameters, memory)
    return hits


def _close(size: int, row: int, rate: float, window: Window, parameters: Parameters, memory: Memory) -> None:
    """A window of samples is full: is it flat, and for how long?"""
    total, sloped, squares = memory["sums"].tolist()
    mean, spread_t = total / size, (size**3 - size) / 12
    slope = sloped / spread_t
    left = max(squares - size * mean * mean - slope * sloped, 0.0) / (size - 2)
    is_level = slope >= -parameters.errors * sqrt(left / spread_t)
    began = memory.setdefault("began", mean)
    same = mean > memory["mean"] + log(1 - parameters.better)
    memory["flat"] = memory["flat"] + 1 if is_level and same and mean > NOTHING else 0
    memory.update(count=0, sums=np.zeros(3), mean=mean)
    wanted = _target(window)
    missed = mean > log(wanted) if wanted is not None else abs(mean - began) < -log(parameters.learned)
    is_flat = memory["flat"] >= parameters.windows and missed and rate > parameters.decayed
    memory["since"] = (memory["since"] or int(window.steps[row])) if is_flat else 0


def _target(window: Window) -> float | None:
    """The upper end of the total's declared range."""
    contract = window.schedule.contracts.get(TOTAL)
    return contract.high if contract is not None and contract.high is not None and contract.high > 0 else None


def _explain(moment: Moment, parameters: Parameters) -> Finding:
    number = moment.index[TOTAL]
    level = moment.window.natural_level(moment.row, number)
    wanted = _target(moment.window)
    samples = int(parameters.samples * parameters.windows)
    message = f"The total loss has stayed at {level:.4g} for {samples} samples, up to step {moment.step}"
    message += "." if wanted is None else f"; it was to get below {wanted:.4g}."
    text = (
        f"No window of {int(parameters.samples)} samples is {100 * parameters.better:g} % better than the one before. "
        "Raise the learning rate, look at what enters the loss (masks, labels, frozen parts), or stop the run."
    )
    return Finding(message, text, None, {"level": level, "samples": samples, "target": wanted})
