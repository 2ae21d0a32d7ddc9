"""What waits for one viewer.

Rules of this file: bounded, whatever the viewer does. Views of runs are conflated (only the newest of each counts).
Points are dropped when too many wait, and the viewer is told to load them again. Alerts, commands and events are never
dropped: a viewer that lets too many wait is closed.
"""

import asyncio
from collections import deque

MAX_NOTICES = 256
MAX_POINTS_BYTES = 4 << 20


class Mailbox:
    """Messages, already encoded, for one viewer. Owned by the event loop's thread."""

    def __init__(self) -> None:
        self.run_id: str | None = None  # what it subscribed to
        self.is_too_slow = False
        self._runs: dict[str, bytes] = {}
        self._notices: deque[bytes] = deque()
        self._points: deque[bytes] = deque()
        self._points_bytes = 0
        self._bell = asyncio.Event()

    def subscribe(self, run_id: str | None) -> None:
        """Points of an earlier subscription that still wait are of no use."""
        self.run_id = run_id
        self._clear_points()

    def put_run(self, run_id: str, message: bytes) -> None:
        """A run's view; replaces one that waits."""
        self._runs[run_id] = message
        self._bell.set()

    def put_notice(self, message: bytes) -> None:
        """What must arrive."""
        if len(self._notices) >= MAX_NOTICES:
            self.is_too_slow = True
        else:
            self._notices.append(message)
        self._bell.set()

    def put_points(self, message: bytes, resync: bytes) -> None:
        """Points; `resync` goes instead of all that wait when they are too many."""
        if self._points_bytes + len(message) > MAX_POINTS_BYTES:
            self.put_resync(resync)
            return
        self._points.append(message)
        self._points_bytes += len(message)
        self._bell.set()

    def put_resync(self, resync: bytes) -> None:
        """Instead of all points that wait."""
        self._clear_points()
        self._points.append(resync)
        self._points_bytes += len(resync)
        self._bell.set()

    async def take(self) -> list[bytes]:
        """What waits, at least one message; empty when the viewer is too slow to be served."""
        while not self.is_too_slow:
            await self._bell.wait()
            self._bell.clear()
            waiting = [*self._notices, *self._runs.values(), *self._points]
            self._notices.clear()
            self._runs.clear()
            self._clear_points()
            if waiting and not self.is_too_slow:
                return waiting
        return []

    def _clear_points(self) -> None:
        self._points.clear()
        self._points_bytes = 0
