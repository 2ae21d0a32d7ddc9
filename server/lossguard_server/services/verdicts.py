"""What people say of alerts: true or false alarm, and not now; and what that says of the rules.

Rules of this file: a verdict may be changed and taken back; each change is audited. A rule's precision is told with
its interval, because three verdicts say little.
"""

import asyncio
from collections.abc import Callable
from math import sqrt
from typing import Any

from sqlmodel import Session

from ..errors import UnknownAlert
from ..store import audit, verdicts
from ..store.columns import Reading
from ..store.verdicts import Said, Tally
from ..store.writer import Writer
from .clock import Clock

SILENCE_MAX_MINUTES = 7 * 24 * 60
Z95 = 1.959963984540054  # of the normal distribution: 95 % lie within so many sigmas


def precision_of(tally: Tally) -> dict[str, Any]:
    """{true, false, precision, low, high}: the share of true alarms and its 95 % interval; null without verdicts."""
    marked = tally.true + tally.false
    low, high = wilson(tally.true, marked)
    share = tally.true / marked if marked else None
    bounds = {"low": low, "high": high} if marked else {"low": None, "high": None}
    return {"true": tally.true, "false": tally.false, "precision": share, **bounds}


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): right also for few trials, and for shares of 0 and 1."""
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, Z95 * Z95 / trials
    centre = (share + square / 2) / (1 + square)
    half = Z95 * sqrt(share * (1 - share) / trials + square / (4 * trials)) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)


class Verdicts:
    """Takes and tells them. Owned by the event loop's thread; `precision` may be called from any."""

    def __init__(
        self, writer: Writer, reading: Reading, clock: Clock, publish: Callable[[dict[str, Any]], None]
    ) -> None:
        """`publish` is given each alert of which something was said, after it was stored."""
        self._writer, self._reading, self._clock, self._publish = writer, reading, clock, publish

    async def judge(self, alert_id: str, verdict: str | None, actor: str) -> dict[str, Any]:
        """The alert with this verdict ("true", "false"; None takes it back). Raises UnknownAlert, StorageError."""
        wall_s = self._clock.wall_s()

        def store(session: Session) -> Said | None:
            found = verdicts.set_verdict(session, alert_id, verdict)
            if found is None:
                return None
            said, old = found
            if verdict != old:
                detail = {**_named(said), "old": old, "new": verdict}
                audit.add(session, wall_s, actor, "alert judged", detail, said.alert["run"])
            return said

        return self._told(await asyncio.wrap_future(self._writer.submit(store)), alert_id)

    async def silence(self, alert_id: str, minutes: float, actor: str) -> dict[str, Any]:
        """Nobody is notified of the alert for so long; 0: from now on again. Raises UnknownAlert, StorageError."""
        wall_s = self._clock.wall_s()
        until_s = wall_s + 60.0 * minutes if minutes > 0 else None

        def store(session: Session) -> Said | None:
            said = verdicts.set_silence(session, alert_id, until_s)
            if said is not None:
                detail = {**_named(said), "minutes": minutes}
                audit.add(session, wall_s, actor, "alert silenced", detail, said.alert["run"])
            return said

        return self._told(await asyncio.wrap_future(self._writer.submit(store)), alert_id)

    def precision(self) -> dict[str, dict[str, Any]]:
        """By rule, of every stored run; a rule of which nobody said anything is missing. Raises StorageError."""
        with self._reading() as session:
            found = verdicts.tallies(session)
        return {rule: precision_of(tally) for rule, tally in found.items()}

    def _told(self, said: Said | None, alert_id: str) -> dict[str, Any]:
        if said is None:
            raise UnknownAlert(f"It was asked for as {alert_id[:80]!r}.")
        self._publish(said.to_dict())
        return said.to_dict()


def _named(said: Said) -> dict[str, Any]:
    return {"alert": said.alert["id"], "rule": said.alert["rule"], "series": said.alert["series"]}
