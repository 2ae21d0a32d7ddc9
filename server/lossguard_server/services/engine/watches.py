"""A run's findings: their counters over the rows of a window, and what becomes of each.

Rules of this file: no words and no alerts; it says at which row a finding fires, worsens or ends. Rows in which nothing
can happen are skipped, so an alert that stays open costs little however long it does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...rules.alert import Alert, AlertState
from ...rules.base import Hits
from ...rules.lifecycle import OPEN, Condition, Event, State
from ...rules.window import Counts, Mask

Key = tuple[str, str]  # rule, series ("" for a rule of which a run has one alert at most)
WORD: dict[State, AlertState] = {
    State.PENDING: "pending",
    State.FIRING: "firing",
    State.ACKNOWLEDGED: "acknowledged",
    State.RESOLVED: "resolved",
}
TOLD = (Event.CONFIRM, Event.WORSEN, Event.CLEAR)


@dataclass
class Watch:
    """A finding's counters, and its alert once it has fired."""

    series: str
    condition: Condition
    alert: Alert | None = None

    @property
    def is_open(self) -> bool:
        return self.condition.state in OPEN

    def now(self) -> Alert:
        """The alert with what the counters know; only once it has fired."""
        assert self.alert is not None, "asked for an alert that has not fired"
        return replace(self.alert, state=WORD[self.condition.state], last_step=self.condition.last_step)


@dataclass(frozen=True)
class Happening:
    """At this row the finding fired, worsened, or was over; `condition` is as it was after the row."""

    row: int
    key: Key
    event: Event
    condition: Condition
    hits: Hits | None  # None: it grew calm


def happenings(key: Key, condition: Condition, hits: Sequence[Hits], carries: Mask, steps: Counts) -> list[Happening]:
    """Takes the window's rows into `condition`. `carries` [T]: the row says something about the finding's series."""
    kinds = np.zeros(len(steps), np.int64)  # 0: calm; n: hits[n - 1]
    for number in _order(hits):
        kinds[hits[number].rows] = number + 1
    rows = np.flatnonzero(carries | (kinds > 0))
    found: list[Happening] = []
    for first, last in _runs(kinds[rows]):
        kind = int(kinds[rows[first]])
        each = hits[kind - 1] if kind else None
        steady = 0
        for i in range(first, last):
            row = int(rows[i])
            before = (condition.state, condition.severity)
            event = _take(condition, each, int(steps[row]))
            if event in TOLD and _is_news(event, before[0]):
                # rows that only sustain may be what a finding ends with
                found.append(Happening(row, key, event, replace(condition), None if event is Event.CLEAR else each))
            steady = steady + 1 if (condition.state, condition.severity) == before else 0
            if steady > condition.span and _is_settled(condition, each):
                if each is not None:
                    condition.last_step = int(steps[rows[last - 1]])
                break
    return found


def _order(hits: Sequence[Hits]) -> list[int]:
    """What counts where two say something of a row comes last: the more severe, and what does not only sustain."""
    return sorted(range(len(hits)), key=lambda number: (not hits[number].sustains, hits[number].severity))


def _take(condition: Condition, hits: Hits | None, step: int) -> Event:
    if hits is None:
        return condition.calmly() if condition.state is not State.INACTIVE else Event.CALM
    if hits.sustains:
        return condition.sustained(step) if condition.state in OPEN else _take(condition, None, step)
    return condition.against(step, hits.severity, hits.hold)


def _is_news(event: Event, was: State) -> bool:
    """A finding that confirms itself while it is open is none; one that never fired ends unheard."""
    return was not in OPEN if event is Event.CONFIRM else (event is not Event.CLEAR or was is not State.PENDING)


def _is_settled(condition: Condition, hits: Hits | None) -> bool:
    """More rows of the same kind change nothing but the last step."""
    if hits is None:
        return condition.state is State.INACTIVE
    return condition.state in OPEN and condition.severity is not None and condition.severity >= hits.severity


def _runs(kinds: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Where each stretch of equal kinds begins and ends."""
    if not len(kinds):
        return []
    edges = (np.flatnonzero(kinds[1:] != kinds[:-1]) + 1).tolist()
    return list(zip([0, *edges], [*edges, len(kinds)], strict=True))
