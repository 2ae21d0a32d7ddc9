"""The words that every rule speaks: severity, hold, verdict, finding, rule.

Rules of this file:
- A verdict is cheap and says only *that*; its `explain` says *what*, *why* and *what to do*, and is called at most when
  an alert opens or grows worse. It must be called before the window's history learns the row.
- A rule is a pure function of a window. What it must remember lives in the window's history, how often it must be
  right before anybody hears of it is its verdict's `hold`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from .alert import SeverityName
from .blame import Blame
from .remedy import Remedy
from .schedule import Schedule
from .window import Window


class Severity(IntEnum):
    """Ordered: a higher one replaces a lower one in the same alert."""

    WARNING = 1
    CRITICAL = 2

    @property
    def word(self) -> SeverityName:
        return "critical" if self is Severity.CRITICAL else "warning"


@dataclass(frozen=True)
class Hold:
    """An alert fires when `need` of the last `of` judged steps count against it."""

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


@dataclass(frozen=True)
class Verdict:
    """This step counts against `series`."""

    series: str
    severity: Severity
    hold: Hold
    explain: Callable[[], Finding]


TripJudge = Callable[[int, Mapping[str, Any], Schedule], list[Verdict]]


def no_verdicts(step: int, data: Mapping[str, Any], schedule: Schedule) -> list[Verdict]:
    """A rule that has nothing to say of a trip."""
    return []


@dataclass(frozen=True)
class Rule:
    """A named judge. `one_per_run`: at most one alert open in a run, whichever series it names. `judge_trip` is asked
    about each `trip` event (its step, its data as it came, what is declared), which may come before the step's row."""

    name: str
    judge: Callable[[Window], list[Verdict]]
    one_per_run: bool = False
    judge_trip: TripJudge = no_verdicts
