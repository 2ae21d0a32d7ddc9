"""Reads of points, apart from everything else that waits for a thread.

Rules of this file: asyncio's own pool has six threads on two cores; seven charts of 360,000 points asked at once made
the list of alerts wait for 5.4 s. What may take long runs here, a few at a time, and waits for its like only.
What may take a core for seconds, a report or a comparison, goes one at a time: of two threads, one stays with the
charts. Backtests, which judge for minutes, have a thread of their own: two of them would leave none to the charts.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

THREADS = 2  # they take turns at the interpreter; more of them would take it from the event loop

T = TypeVar("T")


class Reads:
    """THREADS threads and one, which start with the first read. What is not begun when the server ends is not done."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "reads")
        self._judging = ThreadPoolExecutor(1, "backtests")
        self._turn = asyncio.Lock()

    async def run(self, call: Callable[[], T]) -> T:
        """What the call returns or raises, when it is its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def alone(self, call: Callable[[], T]) -> T:
        """The same for what takes a thread for long: those that wait for their turn take none."""
        async with self._turn:
            return await self.run(call)

    async def judge(self, call: Callable[[], T]) -> T:
        """The same for a page of a backtest."""
        return await asyncio.get_running_loop().run_in_executor(self._judging, call)

    def close(self) -> None:
        """Wait for none."""
        for pool in (self._pool, self._judging):
            pool.shutdown(wait=False, cancel_futures=True)
