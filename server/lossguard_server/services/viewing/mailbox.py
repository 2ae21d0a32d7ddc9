"""What waits for one viewer.

Rules of this file: bounded, whatever the viewer does. Notices (alerts, commands, events, declarations) go first and are
never dropped: a viewer that lets too many wait is closed. Views of runs are conflated (only the newest of each counts).
Points that are too many are dropped for the newest value of each series; when the viewer has caught up it is told to
load again. The cursor moves as messages are taken, and never past points that were dropped.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from ...store.rows import Rows
from .cursor import Cursor
from .messages import Wanted, body, with_cursor
from .pace import SLOWEST_S, TICK_S, Pace
from .tail import Tail

MAX_NOTICES = 256
MAX_NOTICES_BYTES = 4 << 20
MAX_POINTS_BYTES = 1 << 20


class Mailbox:
    """Messages, already encoded, for one viewer. Owned by the event loop's thread."""

    def __init__(self, boot: str, clock: Callable[[], float]) -> None:
        """`boot` names this life of the process; `clock` gives monotonic seconds."""
        self._boot, self._clock = boot, clock
        self.tail: Tail | None = None  # of the run that is watched
        self.wanted: Wanted = None
        self.wants_others = False
        self.is_too_slow = False
        self._pace = Pace()
        self._handed_out_at_s: float | None = None
        self._runs: dict[str, bytes] = {}
        self._answers: deque[bytes] = deque()
        self._bell = asyncio.Event()
        self._points_at = self._notices_at = 0  # everything up to these was taken
        self._notices: deque[tuple[int, bytes]] = deque()
        self._notices_bytes = 0
        self._points: deque[tuple[int, bytes]] = deque()
        self._points_bytes = 0
        self._replay: deque[tuple[int, Rows]] = deque()  # held by the tail as well
        self._others: deque[bytes] = deque()
        self._owes_resync = False
        self._is_behind = False
        self._conflated: deque[bytes] = deque()
        self._conflated_number = -1
        self._conflated_at_s = float("-inf")

    # -- what is watched ------------------------------------------------------------------------------------------

    @property
    def run_id(self) -> str | None:
        """The run that is watched."""
        return None if self.tail is None else self.tail.run_id

    def watch(self, tail: Tail | None, wanted: Wanted, wants_others: bool) -> None:
        """From now on. Messages of another run that still wait are of no use."""
        if tail is not self.tail:
            self._begin(tail, *((0, 0) if tail is None else (tail.points.number, tail.notices.number)))
        self.wanted, self.wants_others = wanted, wants_others

    def resume(self, cursor: Cursor) -> bool:
        """Go on behind `cursor` with all that came since; False, and nothing done, where some of it is not held."""
        assert self.tail is not None
        points, notices = self.tail.points.after(cursor.points), self.tail.notices.after(cursor.notices)
        if points is None or notices is None or len(notices) > MAX_NOTICES:
            return False
        self._begin(self.tail, cursor.points, cursor.notices)
        self._replay.extend(points)
        for number, notice in notices:
            self.put_notice(number, notice)
        return True

    def answer(self, is_resumed: bool) -> None:
        """The subscription is in force: whatever is told from now on reaches this viewer."""
        self._answers.append(self._stamped(body({"type": "subscribed", "run": self.run_id, "resumed": is_resumed})))
        self._bell.set()

    # -- putting --------------------------------------------------------------------------------------------------

    def put_run(self, run_id: str, message: bytes) -> None:
        """A run's view; replaces one that waits."""
        self._runs[run_id] = message
        self._bell.set()

    def put_gone(self, run_id: str, message: bytes) -> None:
        """A run was deleted, and its view that waits is of no use. Told though the next of its name begin at once."""
        self._runs.pop(run_id, None)
        self._answers.append(message)
        self._bell.set()

    def put_notice(self, number: int, message: bytes) -> None:
        """What must arrive."""
        self._notices_bytes += len(message)
        if len(self._notices) >= MAX_NOTICES or self._notices_bytes > MAX_NOTICES_BYTES:
            self.is_too_slow = True
        else:
            self._notices.append((number, message))
        self._bell.set()

    def put_points(self, number: int, message: bytes) -> None:
        """Points, while there is room for them."""
        if self._is_behind:
            return
        if self._points_bytes + len(message) > MAX_POINTS_BYTES:
            self.put_behind()
            return
        self._points.append((number, message))
        self._points_bytes += len(message)
        self._bell.set()

    def pass_points(self, number: int) -> None:
        """Points of which this viewer wants nothing; where none wait, it has all up to them."""
        if not (self._is_behind or self._points or self._replay or self._owes_resync):
            self._points_at = number

    def put_others(self, messages: tuple[bytes, ...]) -> None:
        """The newest values of series that are not wanted, instead of those that still wait."""
        self._others.clear()
        self._others.extend(messages)
        self._bell.set()

    def put_behind(self) -> None:
        """No points any more until the viewer has caught up; their newest values instead."""
        if not self._is_behind:
            self._drop_points()
            self._is_behind = True
            self._pace.fell_behind(self._clock())
        self._bell.set()

    def put_resync(self) -> None:
        """Instead of all points that wait: what this viewer has of the run holds no more."""
        self._drop_points()
        self._is_behind, self._owes_resync = False, True
        self._bell.set()

    # -- taking ---------------------------------------------------------------------------------------------------

    async def take(self) -> bytes | None:
        """The next message, as soon as there is one; None when the viewer is too slow to be served.

        Asking for the next means that the last one went out: that is what the viewer's pace is measured by.
        """
        self.measure()
        while not self.is_too_slow:
            self._bell.clear()
            if (message := self.next()) is not None:
                self._handed_out_at_s = self._clock()
                return message
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s()):
                    await self._bell.wait()
        return None

    def measure(self) -> None:
        """The message that was handed out last has gone out."""
        if self._handed_out_at_s is not None:
            now_s = self._clock()
            self._pace.sent(now_s - self._handed_out_at_s, now_s)
            self._handed_out_at_s = None

    def next(self) -> bytes | None:
        """What goes out now; None when that is nothing, at present."""
        if self._answers:
            return self._answers.popleft()
        if self._notices:
            self._notices_at, message = self._notices.popleft()
            self._notices_bytes -= len(message)
            return self._stamped(message)
        if self._clock() < self._pace.rests_until_s:
            return None
        if self._runs:
            return self._runs.pop(next(iter(self._runs)))
        return self._next_points()

    def _next_points(self) -> bytes | None:
        if self._owes_resync:
            return self._resync()
        if self._is_behind:
            return self._catch_up()
        while self._replay:
            self._points_at, rows = self._replay.popleft()
            assert self.tail is not None
            if (message := self.tail.replayed(rows, self.wanted)) is not None:
                return self._stamped(message)
        if self._points:
            self._points_at, message = self._points.popleft()
            self._points_bytes -= len(message)
            return self._stamped(message)
        return self._stamped(self._others.popleft()) if self._others else None

    def _catch_up(self) -> bytes | None:
        assert self.tail is not None
        now_s = self._clock()
        is_due = now_s >= self._conflated_at_s + (TICK_S if self._pace.is_quick(now_s) else SLOWEST_S)
        if is_due and self._conflated_number != self.tail.points.number:
            self._conflated_at_s, self._conflated_number = now_s, self.tail.points.number
            self._conflated.extend(self.tail.conflated(self.wanted))
        if self._conflated:
            return self._stamped(self._conflated.popleft())
        if self._pace.is_quick(now_s) and now_s >= self._pace.may_resync_at_s:
            self._pace.resynced(now_s)
            return self._resync()
        return None

    def _resync(self) -> bytes:
        """What waits was committed before the viewer can load, and comes with that."""
        assert self.tail is not None
        self._drop_points()
        self._is_behind = self._owes_resync = False
        self._points_at = self.tail.points.number
        return self._stamped(body({"type": "resync", "run": self.run_id}))

    def _wait_s(self) -> float | None:
        """For how long nothing is due by time alone; None: for ever."""
        now_s = self._clock()
        if now_s < self._pace.rests_until_s:
            return self._pace.rests_until_s - now_s
        return TICK_S if self._is_behind else None

    # -- within ---------------------------------------------------------------------------------------------------

    def _begin(self, tail: Tail | None, points_at: int, notices_at: int) -> None:
        self.tail = tail
        self._points_at, self._notices_at = points_at, notices_at
        self._notices.clear()
        self._notices_bytes = 0
        self._is_behind = self._owes_resync = False
        self._conflated_number = -1
        self._drop_points()

    def _drop_points(self) -> None:
        for waiting in (self._points, self._replay, self._conflated, self._others):
            waiting.clear()
        self._points_bytes = 0

    def _stamped(self, message: bytes) -> bytes:
        return with_cursor(message, str(Cursor(self._boot, self._points_at, self._notices_at)))
