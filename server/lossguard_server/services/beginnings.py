"""Alerts that begin to fire, each handed once to whoever answers it, one after the other.

Rules of this file:
- An alert is told again whenever more is known of it; only its beginning counts. What a beginning is, `key` says.
- A refusal is no trouble: the run may be over, or away.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any

from ..errors import ServerError

WAITING_MAX = 1_000  # alerts; whoever answers a storm has done so after the first of them
SEEN_MAX = 10_000

log = logging.getLogger(__name__)

Alert = dict[str, Any]


def by_id(alert: Alert) -> Hashable:
    """An alert begins once."""
    return str(alert["id"])


def by_severity(alert: Alert) -> Hashable:
    """An alert that becomes critical begins once more."""
    return alert["id"], alert["severity"]


class Beginnings:
    """Owned by the event loop's thread."""

    def __init__(self, answer: Callable[[Alert], Awaitable[None]], key: Callable[[Alert], Hashable] = by_id) -> None:
        self._answer, self._key = answer, key
        self._waiting: asyncio.Queue[Alert] = asyncio.Queue(WAITING_MAX)
        self._seen: dict[Hashable, None] = {}  # a set that knows which is the oldest

    def alert(self, alert: Alert) -> None:
        """An alert changed."""
        if alert["state"] != "firing" or self._key(alert) in self._seen or self._waiting.full():
            return
        self.saw([alert])
        self._waiting.put_nowait(alert)

    def again(self, alert: Alert) -> None:
        """Answer one more time what could not be answered for good."""
        if not self._waiting.full():
            self._waiting.put_nowait(alert)

    def saw(self, alerts: Iterable[Alert]) -> None:
        """They began before."""
        for alert in alerts:
            self._seen[self._key(alert)] = None
            if len(self._seen) > SEEN_MAX:
                del self._seen[next(iter(self._seen))]

    async def run(self) -> None:
        """Answers alerts as they come. Ends by cancellation."""
        while True:
            alert = await self._waiting.get()
            try:
                await self._answer(alert)
            except ServerError as error:
                log.info("alert %s of run %s is not answered: %s", alert["id"], alert["run"], error)
            except Exception as error:  # the roof of one alert: the others are answered all the same
                log.error("alert %s of run %s is not answered", alert["id"], alert["run"], exc_info=error)
            finally:
                self._waiting.task_done()

    async def settled(self) -> None:
        """Everything that came so far has been answered."""
        await self._waiting.join()
