"""Lets the training thread wait until what it told is on the disk, and learn whether the server has it.

Rules of this file: `journal`, `hears` and `is_heard` are the training thread's, the rest is the link thread's. Whoever
waits is answered through a queue in C: a signal handler may interrupt that very wait, and end the link, which a lock
that is held meanwhile would stop.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from queue import Empty, SimpleQueue

from .buffer import SampleBuffer
from .disk_sync import DiskSync
from .orphans import Orphans
from .protocol.session import State, TrainerSession
from .spool import Spool

Answer = SimpleQueue[bool]


class Journal:
    """Of one stream. `orphans`: what delivers those of the run's earlier lives; None where no command can come."""

    def __init__(
        self,
        buffer: SampleBuffer,
        spool: Spool,
        disk: DiskSync,
        session: TrainerSession,
        orphans: Orphans | None,
    ) -> None:
        self._buffer, self._spool, self._disk, self._session = buffer, spool, disk, session
        self._orphans, self._is_over = orphans, False
        self._asked: deque[Answer] = deque()
        self._hurry = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None  # while the link's thread runs

    # -- the training thread's ----------------------------------------------------------------------------------

    def journal(self, timeout_s: float) -> bool:
        """What the buffer holds is on the disk; waits for that, at most `timeout_s`. False: it may not be."""
        if self._is_over:
            return False
        answer = Answer()
        self._asked.append(answer)
        if (loop := self._loop) is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(self._hurry.set)
        with contextlib.suppress(Empty):
            return answer.get(timeout=timeout_s)
        return False

    def hears(self) -> bool:
        """Commands may come."""
        return self._orphans is not None and not self._is_over

    def is_heard(self) -> bool:
        """The server has everything that was told so far, by earlier lives of the run as well."""
        is_there = self._session.state is State.STREAMING
        is_acked = not len(self._buffer) and self._session.acked_seq >= self._spool.last_seq
        return is_there and is_acked and (self._orphans is None or not self._orphans.is_awaited())

    # -- the link thread's --------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The loop of the link's thread runs."""
        self._loop = asyncio.get_running_loop()

    def end(self) -> None:
        """It takes no more; who still waits is answered."""
        self._is_over = True
        with self.written():
            pass

    async def rest(self, seconds: float) -> None:
        """So long, or until somebody waits."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)
        self._hurry.clear()

    @contextlib.contextmanager
    def written(self) -> Iterator[None]:
        """Around what takes the buffer's content into the spool: who asked before it is answered after the disk."""
        asked = [self._asked.popleft() for _ in range(len(self._asked))]
        yield
        if not asked:
            return
        self._spool.flush()
        self._spool.sync(self._disk)
        is_written = not self._spool.unwritten

        def answer() -> None:
            for each in asked:
                each.put(is_written)

        self._disk.then(answer)
