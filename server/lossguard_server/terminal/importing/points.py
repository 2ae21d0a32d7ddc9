"""What a file holds, as series of points, whatever its format.

Rules of this file:
- Pure. Readers add points as they come; `Collector.found` sorts them by step, and of two at one step the later wins.
- A name or a step that the server would refuse, and a file that makes no sense, are BadFile: file, line, what to do.
  Nothing of that file has been sent by then.
- What is no number is counted, never guessed: only the words for NaN and the infinities are numbers too.
"""

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from lossguard.protocol.frames import MAX_STEP, Columns, Steps
from lossguard.protocol.names import fault_in

from ..client import Refused

MAX_SERIES = 100_000  # the server's own limit (services/stream.py): told before anything is sent
MISSING = frozenset(("", "na", "n/a", "<na>", "null", "none", "-"))
_WORDS = {"1.#inf": math.inf, "-1.#inf": -math.inf, "1.#qnan": math.nan, "-1.#ind": math.nan, "1.#ind": math.nan}
_EPOCH_S = (1e8, 1e10)  # 1973 to 2286: a number beyond it is no time in seconds


class BadFile(Refused):
    """A file cannot be imported."""

    def __init__(self, file: str, line: int | None, what: str, hint: str = "") -> None:
        super().__init__(f"{file}{'' if line is None else f', line {line}'}: {what}", hint)


@dataclass
class Series:
    """Points in the order of the file."""

    steps: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, step: int, value: float) -> None:
        self.steps.append(step)
        self.values.append(value)


@dataclass(frozen=True)
class Found:
    """One run of a file. `series`: name -> (steps [n] int64, strictly increasing; values [n] float64)."""

    file: str
    name: str
    series: Mapping[str, tuple[Steps, Columns]]
    skipped: int  # values that are no numbers
    repeated: int  # points of a step that came again
    unordered: int  # points that came after one of a later step
    remarks: tuple[str, ...]
    first_s: float  # epoch seconds, 0: unknown
    last_s: float

    @property
    def points(self) -> int:
        return sum(len(steps) for steps, _ in self.series.values())


class Collector:
    """The points of one run, as a reader finds them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.skipped = 0
        self.remarks: list[str] = []
        self._series: dict[str, Series] = {}
        self._first_s, self._last_s = math.inf, 0.0

    def series(self, name: str, line: int | None) -> Series:
        """The series of that name. Raises BadFile."""
        series = self._series.get(name)
        if series is None:
            if (fault := fault_in(name)) is not None:
                raise BadFile(self.file, line, f"{name[:80]!r} cannot name a series: {fault}.", "Rename it.")
            if len(self._series) >= MAX_SERIES:
                raise BadFile(
                    self.file, line, f"More than {MAX_SERIES} series.", "Is this one run, with steps in rows?"
                )
            series = self._series[name] = Series()
        return series

    def step(self, value: object, line: int | None) -> int:
        """A step from a number or its text. Raises BadFile."""
        try:
            step = int(value) if isinstance(value, str) else value
        except ValueError:
            step = number(value) if isinstance(value, str) else None
        if isinstance(step, float) and step.is_integer():
            step = int(step)
        if type(step) is not int or not 0 <= step <= MAX_STEP:
            raise BadFile(
                self.file, line, f"{str(value)[:80]!r} is no step: a whole number from 0 to 2^53 - 1.",
                "Name the right one with --step-column.",
            )  # fmt: skip
        return step

    def saw(self, time: object) -> None:
        """When something was logged: epoch seconds or milliseconds, or an ISO date; anything else is ignored."""
        at_s = _epoch_s(time)
        if at_s is not None:
            self._first_s, self._last_s = min(self._first_s, at_s), max(self._last_s, at_s)

    def cut(self, below_step: int) -> None:
        """Forget what is at or after a step: the run went back to it."""
        for series in self._series.values():
            kept = [index for index, step in enumerate(series.steps) if step < below_step]
            series.steps = array("q", [series.steps[index] for index in kept])
            series.values = array("d", [series.values[index] for index in kept])

    def found(self, name: str) -> Found:
        """All of it, sorted. Raises BadFile when it is nothing."""
        series, repeated, unordered = {}, 0, 0
        for each, raw in self._series.items():
            steps, values, again, late = _sorted(np.array(raw.steps, np.int64), np.array(raw.values, np.float64))
            repeated, unordered = repeated + again, unordered + late
            if len(steps):
                series[each] = steps, values
        if not series:
            raise BadFile(self.file, None, "It holds no numbers.", "Is it the right file, and the right --format?")
        first_s = self._first_s if self._last_s else 0.0
        return Found(
            self.file, name, series, self.skipped, repeated, unordered, tuple(self.remarks), first_s, self._last_s
        )


def number(text: str) -> float | None:
    """The number that a text stands for, NaN and infinities by their usual words; None when it is another text."""
    try:
        value = float(text)
    except ValueError:
        return _WORDS.get(text.strip().lower())
    return None if "_" in text else value  # 1_000 is a number in Python only


def is_missing(text: str) -> bool:
    """Whether a text stands for no value at all."""
    return text.strip().lower() in MISSING


def _sorted(steps: Steps, values: Columns) -> tuple[Steps, Columns, int, int]:
    """The points in order of step, the last of each; how many repeated a step, how many came late."""
    if len(steps) < 2 or bool(np.all(steps[1:] > steps[:-1])):
        return steps, values, 0, 0
    late = int(np.count_nonzero(steps < np.maximum.accumulate(steps)))
    order = np.argsort(steps, kind="stable")
    ordered = steps[order]
    is_last = np.append(ordered[1:] != ordered[:-1], True)
    return ordered[is_last], values[order][is_last], len(steps) - int(is_last.sum()), late


def _epoch_s(time: object) -> float | None:
    if isinstance(time, str):
        value = number(time)
        if value is None:
            try:
                return datetime.fromisoformat(time).timestamp()
            except (ValueError, OverflowError, OSError):
                return None
        time = value
    if isinstance(time, bool) or not isinstance(time, int | float):
        return None
    for at_s in (time, time / 1_000 if abs(time) < 1e300 else math.nan):
        if _EPOCH_S[0] <= at_s <= _EPOCH_S[1]:
            return float(at_s)
    return None
