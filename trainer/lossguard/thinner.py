"""Which segment of a spool is thinned next, and when.

Rules of this file: a few milliseconds at a time. The oldest of those that were thinned least goes first, so that an
outage is thinned evenly. Segments of which something was sent are left as they are: the server may have taken a part
of what a gap would stand for, and would never hear of the rest.
"""

from collections.abc import Callable
from pathlib import Path

from .disk_sync import DiskSync
from .spool_segments import Segment
from .thinning import Thinning

SLICE_S = 0.005  # every PUMP_S of the link: a tenth of the time
REST_S = 5.0  # how long a disk that refused is left alone


class Thinner:
    """Keeps the closed ones of `segments`, the newest of which is written to, together below `limit_bytes`."""

    def __init__(
        self,
        segments: list[Segment],
        limit_bytes: int,
        bad_folder: Path,
        count_bytes: Callable[[], None],
        warn: Callable[[str, str], None],
        clock: Callable[[], float],
    ) -> None:
        """`count_bytes`: is called when the size of a segment changed; `warn`: says a sentence once a kind."""
        self.points_lost = 0
        self._segments, self._limit_bytes, self._bad_folder = segments, limit_bytes, bad_folder
        self._count_bytes, self._warn, self._clock = count_bytes, warn, clock
        self._again_s = 0.0
        self._current: tuple[Segment, Thinning] | None = None

    def tend(self, disk: DiskSync, size_bytes: int, sent_seq: int, header: Callable[[], bytes]) -> None:
        """A slice of work, where the spool takes `size_bytes`. `header`: what a new file of it begins with."""
        if self._current is None:
            segment = self._next(size_bytes, sent_seq)
            if segment is None:
                return
            thinning = Thinning(segment.path, segment.first_seq, segment.last_seq, header(), disk, self._bad_folder)
            self._current = (segment, thinning)
        segment, thinning = self._current
        if segment.first_seq <= sent_seq:  # it is being sent by now
            thinning.give_up()
        try:
            self._work(thinning)
        except OSError as error:
            self._again_s = self._clock() + REST_S
            self._warn("thin", f"it cannot thin its spool ({error})")
        if thinning.is_over:
            self._current = None
            if thinning.is_complete:
                self._take_over(segment, thinning)

    def leave(self, segment: Segment) -> None:
        """The segment is gone."""
        if self._current is not None and self._current[0] is segment:
            self._current[1].give_up()
            self._current = None

    def _work(self, thinning: Thinning) -> None:
        end_s = self._clock() + SLICE_S
        while not thinning.is_over:
            thinning.step()
            if thinning.is_waiting or self._clock() >= end_s:
                return

    def _next(self, size_bytes: int, sent_seq: int) -> Segment | None:
        if size_bytes < self._limit_bytes or self._clock() < self._again_s:
            return None
        free = [each for each in self._segments[:-1] if each.first_seq > sent_seq and not each.is_spent]
        return min(free, key=lambda each: each.thinned) if free else None

    def _take_over(self, segment: Segment, thinning: Thinning) -> None:
        segment.thinned += 1
        segment.is_spent = thinning.is_spent
        if thinning.has_replaced:
            segment.size, segment.places, segment.is_damaged = thinning.size, None, False
            self.points_lost += thinning.points_lost
            self._count_bytes()
            self._warn("cap", "its spool nears its limit (LOSSGUARD_SPOOL_GIB), and is thinned")
