"""What is looked after for as long as the server runs: once a second, or all the time.

Rules of this file: one that fails is told in the log, and neither ends the others nor is left out the next time. It is
tried again every second, so the same is said only once until it is over.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping

TICK_S = 1.0
AGAIN_S = 5.0  # between a failure and the next beginning

log = logging.getLogger(__name__)

Tick = Callable[[], Awaitable[None] | None]


class Ticking:
    """Owned by the event loop's thread. `ticks` by what they do, in words; one waits for those before it."""

    def __init__(self, ticks: Mapping[str, Tick]) -> None:
        self._ticks = dict(ticks)
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        """Ends by cancellation."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.once()

    async def once(self) -> None:
        """Each of them, in order."""
        for what, tick in self._ticks.items():
            # a task of its own: what it raises can be looked at, whatever it is
            task = asyncio.create_task(_call(tick))
            try:
                await asyncio.wait([task])
            finally:
                task.cancel()
            self._tell(what, None if task.cancelled() else task.exception())

    def _tell(self, what: str, error: BaseException | None) -> None:
        if error is None:
            self._said.pop(what, None)
        elif self._said.get(what) != repr(error):
            self._said[what] = repr(error)
            log.error("%s failed, and is tried again", what, exc_info=error)


async def kept_going(what: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run it, and begin anew where it fails. Ends when it ends by itself, and by cancellation, after it has."""
    while True:
        task = asyncio.ensure_future(run())
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            await asyncio.wait([task])
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("%s failed, and begins again in %g s", what, AGAIN_S, exc_info=error)
        await asyncio.sleep(AGAIN_S)


async def _call(tick: Tick) -> None:
    if inspect.isawaitable(waits := tick()):
        await waits
