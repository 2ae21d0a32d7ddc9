"""Reads of points, apart from everything else that waits for a thread.

Rules of this file: asyncio's own pool has six threads on two cores; seven charts of 360,000 points asked at once made
the list of alerts wait for 5.4 s. What may take long runs here, a few at a time, and waits for its like only.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

THREADS = 2  # they take turns at the interpreter; more of them would take it from the event loop

T = TypeVar("T")


class Reads:
    """THREADS threads, which start with the first read. What is not begun when the server ends is not done."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "reads")

    async def run(self, call: Callable[[], T]) -> T:
        """What the call returns or raises, when it is its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        """Wait for none."""
        self._pool.shutdown(wait=False, cancel_futures=True)
