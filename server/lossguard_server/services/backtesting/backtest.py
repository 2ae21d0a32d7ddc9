"""Backtests: what rules would have found in stored runs, told as it goes.

Rules of this file:
- Nothing is stored and nobody is told: a backtest changes nothing.
- Few at once, and each for a limited time: they share two cores with what judges the runs that train. One that runs out
  of time answers what it has, and says so.
- A run is judged again as far as the rules have judged it: of later rows nobody knows what they would have found then.
- It is an iterator of pages; who drives it decides in which thread, and stops by asking no more.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...errors import JournalDamaged, TooManyBacktests, UnknownRun
from ...rules.base import Rule
from ...store import judged, runs, verdicts
from ...store.columns import Reading
from ..clock import Clock
from ..exporting.table import Source
from .findings import Comparison, Counts, Findings, against
from .replay import Judging, Replay, Stored, find

AT_ONCE = 2
LIMIT_S = 300.0
WARM_STEPS = 1_000  # before the first step that counts: the rules learn what is usual there
MOST_SHOWN, LEAST_SHOWN = 2_000, 20  # alerts of all runs together, and of each; more of them would stop the event loop


@dataclass(frozen=True)
class Trial:
    """A run and the rules that are tried on it, over [first_step, last_step] (None: as far as it goes).

    `newest`: only so many of its last steps, where `first_step` is None.
    """

    run_id: str
    project: str
    name: str
    rules: tuple[Rule, ...]
    first_step: int | None = None
    last_step: int | None = None
    newest: int | None = None


class Slot:
    """The right to run a backtest. `release` it in the end, whatever happened; more than once does no harm."""

    def __init__(self, semaphore: threading.Semaphore) -> None:
        self._semaphore: threading.Semaphore | None = semaphore

    def release(self) -> None:
        semaphore, self._semaphore = self._semaphore, None
        if semaphore is not None:
            semaphore.release()


class Backtests:
    """Makes them. Thread-safe."""

    def __init__(
        self,
        source: Source,
        reading: Reading,
        new_engine: Callable[[Sequence[Rule]], Judging],
        clock: Clock,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._source, self._reading, self._new_engine, self._clock = source, reading, new_engine, clock
        self._limit_s, self._slots = limit_s, threading.Semaphore(AT_ONCE)

    def slot(self) -> Slot:
        """Raises TooManyBacktests."""
        if not self._slots.acquire(blocking=False):
            raise TooManyBacktests(f"At most {AT_ONCE} run at once.")
        return Slot(self._slots)

    def run(self, trials: Sequence[Trial]) -> Iterator[dict[str, Any]]:
        """{"progress": ...} after each page, and {"result": ...} in the end (docs/protocol.md).

        Raises BacktestTooLarge, RunChanged, UnknownRun (a run was deleted meanwhile), StorageError.
        """
        started_s = self._clock.monotonic_s()
        found: list[dict[str, Any]] = []
        by_rule: dict[str, Counts] = {}
        for number, trial in enumerate(trials):
            with self._while_there(trial.run_id):
                one = _One(self._source, self._reading, self._new_engine(trial.rules), trial)
                for progress in one.pages():
                    yield {"progress": {"run": trial.run_id, "number": number + 1, "of": len(trials), **progress}}
                    if self._clock.monotonic_s() - started_s > self._limit_s:
                        break
                found.append(one.result(by_rule, max(LEAST_SHOWN, MOST_SHOWN // len(trials))))
            if self._clock.monotonic_s() - started_s > self._limit_s:
                break
        is_complete = len(found) == len(trials) and all(each["complete"] for each in found)
        yield {"result": {**_totals(by_rule), "runs": found, "complete": is_complete, "limit_s": self._limit_s}}

    @contextmanager
    def _while_there(self, run_id: str) -> Iterator[None]:
        """A run that is being deleted goes piece by piece, which looks like damage. Raises UnknownRun."""
        try:
            yield
        except JournalDamaged:
            self._find(run_id)
            raise
        self._find(run_id)

    def _find(self, run_id: str) -> None:
        with self._reading() as session:
            if runs.get(session, run_id) is None:
                raise UnknownRun(f"{run_id[:80]!r} was deleted while it was backtested.")


class _One:
    """One trial."""

    def __init__(self, source: Source, reading: Reading, engine: Judging, trial: Trial) -> None:
        self._reading, self._trial = reading, trial
        with reading() as session:
            self._known_to = judged.judged_to(session, trial.run_id)
        self._stored, self._first_step = _found(source, reading, trial, self._known_to)
        self._replay = Replay(source, self._stored, engine)
        self._findings = Findings(self._first_step)
        self._judged_to, self._rows = -1, 0
        self._is_complete = False

    def pages(self) -> Iterator[dict[str, Any]]:
        last_step = self._stored.cut.last_step
        for page in self._replay.pages():
            self._findings.take(page.changes)
            self._judged_to, self._rows = page.last_step, self._rows + page.rows
            self._is_complete = page.is_last
            yield {"step": page.last_step, "last_step": last_step, "alerts": self._findings.count}

    def result(self, by_rule: dict[str, Counts], most: int) -> dict[str, Any]:
        """The run's part of the answer, with at most `most` alerts of each side; its counts are added to `by_rule`."""
        trial = self._trial
        with self._reading() as session:
            span = (self._first_step, self._judged_to)
            comparison = against(self._findings, verdicts.of_run(session, trial.run_id), span, trial.rules)
        return {
            "run": trial.run_id,
            "project": trial.project,
            "name": trial.name,
            "first_step": self._first_step,
            "last_step": self._judged_to,
            "rows": self._rows,
            "complete": self._is_complete,
            "judged_to": self._known_to if self._is_cut() else None,
            "compared_to": comparison.end,
            "failed": list(self._findings.failed.values()),
            "trips_left_out": self._stored.told.trips_left_out,
            **self._counted(comparison, by_rule, most),
        }

    def _counted(self, comparison: Comparison, by_rule: dict[str, Counts], most: int) -> dict[str, Any]:
        counts = comparison.counts()
        for rule in self._trial.rules:
            by_rule.setdefault(rule.name, Counts())
        for rule_name, each in counts.items():
            by_rule.setdefault(rule_name, Counts()).add(each)
        return {**_totals(counts), **comparison.shown(most)}

    def _is_cut(self) -> bool:
        """Whether rows that were asked for are left out, because they were not judged yet."""
        asked = self._trial.last_step
        return self._known_to is not None and (asked is None or asked > self._known_to)


def _found(source: Source, reading: Reading, trial: Trial, known_to: int | None) -> tuple[Stored, int]:
    """What is to be shown to the rules, and the first step that counts; nothing after `known_to`."""
    first_step = trial.first_step
    last_step = min((step for step in (trial.last_step, known_to) if step is not None), default=None)
    stored = find(source, reading, trial.run_id, None, last_step)
    if first_step is None and trial.newest is not None:
        first_step = stored.cut.last_step - trial.newest + 1
    if first_step is None or first_step <= stored.cut.first_step:
        return stored, stored.cut.first_step
    return find(source, reading, trial.run_id, max(0, first_step - WARM_STEPS), last_step), first_step


def _totals(by_rule: dict[str, Counts]) -> dict[str, Any]:
    total = Counts()
    for each in by_rule.values():
        total.add(each)
    return {"rules": {name: each.to_dict() for name, each in by_rule.items()}, "total": total.to_dict()}
