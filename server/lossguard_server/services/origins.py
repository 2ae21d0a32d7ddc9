"""Where a non-finite value was born: which alert an `origin` event belongs to, and how the alert says it.

Rules of this file:
- An alert takes one origin, the first that comes; told again, it changes nothing.
- The event may be a little ahead of the row that makes the alert: it waits for it.
- What a trainer reports is only data: it is cut to what a person reads, and words are words.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from lossguard.protocol.messages import Event
from lossguard.protocol.numbers import dumps

from ..rules import nonfinite
from ..rules.alert import Alert, AlertChange

RULE = nonfinite.NAME
TEXT_CHARS = 1_000
DATA_BYTES = 8_192  # of the whole origin: it travels with every change of its alert
WAITING_MAX = 8
_WORDS = ("component", "module", "op", "phase", "value", "text")
_OPEN = ("firing", "acknowledged")


class Alerts(Protocol):
    """What is asked of services/engine.py."""

    def recent_alerts(self, run_id: str, rule: str) -> list[Alert]: ...
    def amend(self, run_id: str, alert: Alert) -> AlertChange: ...


class Origins:
    """Brings origins and alerts of all runs together. Owned by the judge's thread."""

    def __init__(self, rules: Alerts, stored: Callable[[str], list[Alert]]) -> None:
        """`stored` gives the last alerts of a run as they were stored."""
        self._rules, self._stored = rules, stored
        self._waiting: dict[str, deque[tuple[int, dict[str, Any]]]] = {}

    def told(self, run_id: str, event: Event) -> list[AlertChange]:
        """The trainer has replayed the step of `event`."""
        origin, recent = origin_of(event), self._rules.recent_alerts(run_id, RULE)
        known = {alert.id for alert in recent}
        # what is in the engine is newer than what is stored of it
        found = choose([*recent, *(alert for alert in self._stored(run_id) if alert.id not in known)], event.step)
        if found is None:
            self._waiting.setdefault(run_id, deque(maxlen=WAITING_MAX)).append((event.step, origin))
            return []
        if "origin" in found.evidence:
            return []
        alert = explained(found, origin)
        return [self._rules.amend(run_id, alert) if alert.id in known else AlertChange(alert, "explained")]

    def fired(self, run_id: str, changes: Sequence[AlertChange]) -> list[AlertChange]:
        """Alerts changed: those of them that an origin was waiting for."""
        if run_id not in self._waiting:
            return []
        for change in changes:
            if change.alert.rule != RULE or change.transition not in ("fired", "reopened"):
                continue
            waiting = [origin for step, origin in self._waiting[run_id] if step == change.alert.last_step]
            if waiting:
                del self._waiting[run_id]
                return [self._amended(run_id, change.alert.id, waiting[0], changes)]
        return []

    def _amended(
        self, run_id: str, alert_id: str, origin: dict[str, Any], changes: Sequence[AlertChange]
    ) -> AlertChange:
        # as it is now: among the same rows it may have ended, and even have been forgotten
        for alert in self._rules.recent_alerts(run_id, RULE):
            if alert.id == alert_id:
                return self._rules.amend(run_id, explained(alert, origin))
        last = [change.alert for change in changes if change.alert.id == alert_id][-1]
        return AlertChange(explained(last, origin), "explained")

    def forget(self, run_id: str) -> None:
        """The run went back: what has not happened on its present branch is waited for no more."""
        self._waiting.pop(run_id, None)


def origin_of(event: Event) -> dict[str, Any]:
    """What the alert will carry: the event's data; of a report that is too long its words, shortened."""
    if len(dumps(event.data)) <= DATA_BYTES:
        return dict(event.data)
    words = {key: event.data.get(key) for key in _WORDS}
    return {key: word[:TEXT_CHARS] for key, word in words.items() if isinstance(word, str)}


def choose(alerts: Iterable[Alert], step: int) -> Alert | None:
    """The alert of `nonfinite` that began at `step`, or else held at it, or else is open and has no origin yet."""
    known = [alert for alert in alerts if alert.rule == RULE]
    ways = (
        [alert for alert in known if alert.step == step],
        [alert for alert in known if alert.step <= step <= alert.last_step],
        [alert for alert in known if alert.state in _OPEN and "origin" not in alert.evidence],
    )
    return max(next((way for way in ways if way), []), key=lambda alert: alert.step, default=None)


def explained(alert: Alert, origin: dict[str, Any]) -> Alert:
    """The alert with its origin as evidence, and its sentence at the end of the text."""
    said, text = origin.get("text"), alert.evidence.get("text", "")
    if isinstance(said, str) and said:
        text = f"{text} {said[:TEXT_CHARS]}".strip()
    return replace(alert, evidence={**alert.evidence, "text": text, "origin": origin})
