"""Stores what the rules found and what they know, and then tells it.

Rules of this file:
- Alerts are stored at once; what the rules know, with how far the streams are judged, every few seconds: rows that were
  judged since then are judged again after a restart, and make the same alerts.
- What cannot be stored now goes with the next. Nothing is told before it is stored.
- With them goes how far that is (`found_seq`): what is found again up to there is passed over.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session

from ..errors import StateUnreadable
from ..rules.alert import AlertChange
from ..rules.incident import IncidentChange
from ..store import alerts, audit, incidents, journal, rules_state, runs
from ..store.writer import Writer
from .clock import Clock
from .recall import Rules

SAVE_EVERY_S = 5.0
RUNS_AT_ONCE = 50

log = logging.getLogger(__name__)

Publish = Callable[[dict[str, Any]], None]
Owe = Callable[[Session, Sequence[IncidentChange], float], object]


def owe_nobody(session: Session, changes: Sequence[IncidentChange], now_s: float) -> None:
    """Nobody is to be told."""


@dataclass(frozen=True)
class Tellers:
    """Who is told what, after it was stored; `owe` puts what is to be sent to people into the same transaction."""

    alert: Publish
    incident: Publish
    owe: Owe = owe_nobody


@dataclass
class _Unstored:
    """What was found of a run and is not stored: the disk is full, or a moment has not passed."""

    alerts: dict[str, AlertChange] = field(default_factory=dict)  # the last of each, by id
    news: list[IncidentChange] = field(default_factory=list)

    def clear(self) -> None:
        self.alerts.clear()
        self.news.clear()


@dataclass(frozen=True)
class _Told:
    """What was stored, as answers carry it; incidents by id, each as it is last."""

    alerts: list[dict[str, Any]]
    incidents: dict[str, dict[str, Any]]


class Findings:
    """Owned by the judge's thread."""

    def __init__(self, rules: Rules, writer: Writer, clock: Clock, tellers: Tellers) -> None:
        self._rules, self._writer, self._clock, self._tellers = rules, writer, clock, tellers
        self._unstored: dict[str, _Unstored] = {}  # by run
        self._saved_s: dict[str, float] = {}  # by run
        self._saved: dict[str, dict[int, int]] = {}  # by run: the watermarks of what is stored
        self._due: set[str] = set()

    def make_due(self, run_id: str) -> None:
        """What the rules know of the run is to be stored with the next findings."""
        self._due.add(run_id)

    def forget(self, run_id: str) -> None:
        """The run was deleted."""
        for kept in (self._unstored, self._saved_s, self._saved):
            kept.pop(run_id, None)
        self._due.discard(run_id)

    def store(
        self, run_id: str, changes: Sequence[AlertChange], watermarks: Mapping[int, int], actor: str | None = None
    ) -> None:
        """`watermarks`: by stream, how far it is judged. `actor` acknowledged an alert. Raises StorageError."""
        unstored = self._unstored.setdefault(run_id, _Unstored())
        unstored.alerts.update({change.alert.id: change for change in changes})
        unstored.news += self._rules.news(run_id)
        found = [change.alert.to_dict() for change in unstored.alerts.values()]
        news, is_due, wall_s = list(unstored.news), self._is_due(run_id), self._clock.wall_s()
        if not (found or news or is_due):
            return
        body = self._dumped(run_id) if is_due else None

        def put(session: Session) -> _Told:
            if runs.get(session, run_id) is None:
                return _Told([], {})  # it was deleted meanwhile
            told = _Told([alerts.upsert(session, alert) for alert in found], {})
            for change in news:
                told.incidents[change.incident.id] = incidents.upsert(session, change.incident.to_dict())
            self._tellers.owe(session, news, wall_s)
            if body is not None:
                rules_state.put(session, run_id, body)
            for stream_id, seq in watermarks.items():
                journal.set_found(session, stream_id, seq)
                if body is not None:
                    journal.set_judged(session, stream_id, seq)
            for alert in found if actor is not None else ():
                detail = {"alert": alert["id"], "rule": alert["rule"], "series": alert["series"]}
                audit.add(session, wall_s, actor or "", "alert acknowledged", detail, run_id)
            return told

        told = self._writer.submit(put).result()
        unstored.clear()
        if body is not None:
            self._saved_s[run_id], self._saved[run_id] = self._clock.monotonic_s(), dict(watermarks)
            self._due.discard(run_id)
        self._tell(told)

    def pass_over(self, run_id: str) -> None:
        """What the rules found in rows that they judged before is stored and told already."""
        self._rules.news(run_id)

    def waiting(self) -> list[str]:
        """Runs of which something could not be stored."""
        return [run_id for run_id, unstored in self._unstored.items() if unstored.alerts or unstored.news]

    def is_saved(self, run_id: str, watermarks: Mapping[int, int]) -> bool:
        """What the rules know is stored as it is."""
        return self._saved.get(run_id) == dict(watermarks)

    def _dumped(self, run_id: str) -> bytes | None:
        try:
            return self._rules.dump(run_id)
        except StateUnreadable as error:  # the alerts are worth more; after a restart the rules learn anew
            log.error("run %s: %s", run_id, error)
            return None

    def _tell(self, told: "_Told") -> None:
        for alert in told.alerts:
            self._tellers.alert(alert)
        for incident in told.incidents.values():
            self._tellers.incident(incident)

    def _is_due(self, run_id: str) -> bool:
        saved_s = self._saved_s.get(run_id)
        # of a thousand runs at once each is stored less often
        every_s = SAVE_EVERY_S * max(1.0, len(self._saved_s) / RUNS_AT_ONCE)
        return saved_s is None or run_id in self._due or self._clock.monotonic_s() - saved_s >= every_s
