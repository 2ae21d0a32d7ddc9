"""The words that every rule speaks: severity, hold, hits, finding, rule.

Rules of this file:
- A rule is a pure function of a window (many rows of one run), its parameters and its own memory of the run. It says
  which rows count against which series; `explain` says *what*, *why* and *what to do*, and is asked only when an alert
  opens or grows worse, while the window is at hand.
- What a rule says of a row depends on that row and on what came before it, never on where windows were cut.
- A memory holds plain values and arrays, because it is stored with the run and read back after a restart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .alert import SeverityName
from .blame import Blame
from .remedy import Remedy
from .schedule import Schedule
from .window import Window

Rows = npt.NDArray[np.intp]
Memory = dict[str, Any]  # of one rule about one run: numbers, texts, lists, dicts and numpy arrays


class Severity(IntEnum):
    """Ordered: a higher one replaces a lower one in the same alert. WARNING is shown, CRITICAL notifies."""

    WARNING = 1
    CRITICAL = 2

    @property
    def word(self) -> SeverityName:
        return "critical" if self is Severity.CRITICAL else "warning"


@dataclass(frozen=True)
class Hold:
    """An alert fires when `need` of the last `of` judged rows count against it."""

    need: int
    of: int


AT_ONCE = Hold(1, 1)


@dataclass(frozen=True)
class Finding:
    """What a person reads. `numbers` go into the alert's evidence beside `text`; `component` is the cause, if any."""

    message: str
    text: str
    component: str | None = None
    numbers: dict[str, Any] = field(default_factory=dict)
    blame: Blame | None = None
    remedy: Remedy | None = None


Explain = Callable[[int], Finding]  # of a row of the window


@dataclass(frozen=True)
class Hits:
    """These rows (increasing) count against `series`, all with one severity and hold.

    A series that is a warning at some rows and critical at others has two Hits. `sustains`: these rows only keep an
    alert open that is open already (hysteresis); they neither begin nor worsen one.
    """

    series: str
    rows: Rows
    severity: Severity
    hold: Hold
    explain: Explain
    sustains: bool = False


Judge = Callable[[Window, Any, Memory], Sequence[Hits]]
TripJudge = Callable[[int, Mapping[str, Any], Schedule], Finding | None]


def silent(step: int, data: Mapping[str, Any], schedule: Schedule) -> Finding | None:
    """A rule that has nothing to say of a trip."""
    return None


@dataclass(frozen=True)
class Info:
    """What a person reads of a rule before it ever fires; docs/rules.md and the page are made from it.

    `series`: what it judges, as words; `formula`, `source` and `quiet`: the head of its file in one sentence each.
    """

    number: str  # "R4"
    name: str  # "loss_jump"
    title: str
    series: str
    formula: str
    source: str
    quiet: str  # why it is silent on healthy runs
    warm_up: int = 0  # samples of a series before it judges


def parameter(default: float, text: str, low: float, high: float, unit: str = "", whole: bool = False) -> Any:
    """A field of a rule's `Parameters`: its default, what it means, and what a person may set it to.

    `whole`: it counts something, and a fraction would be cut off unseen.
    """
    return field(default=default, metadata={"text": text, "low": low, "high": high, "unit": unit, "whole": whole})


def ascending(parameters: Any, *names: str) -> None:
    """Raises ValueError, with both names, where one of these parameters is above the one after it."""
    for lower, upper in pairwise(names):
        if (least := getattr(parameters, lower)) > (most := getattr(parameters, upper)):
            raise ValueError(f"{lower} ({least:g}) is above {upper} ({most:g})")


@dataclass(frozen=True)
class Rule:
    """A named judge with its parameters. `one_per_run`: at most one alert open in a run, whichever series it names.

    `judge_trip` is asked about each `trip` event (its step, its data as it came, what is declared), which may come
    before the step's row; what it finds is about the series `buffers`, critical, at once.
    """

    info: Info
    parameters: Any
    judge: Judge
    one_per_run: bool = False
    judge_trip: TripJudge = silent

    @property
    def name(self) -> str:
        return self.info.name

    def parameter_names(self) -> list[str]:
        """What a person may set."""
        return [entry.name for entry in fields(self.parameters)]
