"""Which channel is tried next: each has a lane of its own, and few move at once.

Rules of this file:
- A channel that failed rests, whatever else it is owed; the longer the more often it failed in a row. What is known of
  that is lost with the process, and then costs one try.
- Those that failed never take all places: the last one is for who answered, or was not tried yet.
- The one that was tried longest ago is first.
- Times are monotonic: no clock that is set shortens or lengthens a rest.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ...store.outbox import Notice

LANES = 4


@dataclass
class _Lane:
    tried_s: float
    failures: int = 0
    rests_until_s: float = -math.inf


class Lanes:
    """Owned by the event loop's thread."""

    def __init__(self, count: int = LANES) -> None:
        self._count = count
        self._lanes: dict[str, _Lane] = {}  # by channel

    def failures(self, channel: str) -> int:
        """How often in a row it failed."""
        return self._lanes[channel].failures if channel in self._lanes else 0

    def resting(self, now_s: float) -> set[str]:
        """Channels that are not tried now."""
        return {channel for channel, lane in self._lanes.items() if lane.rests_until_s > now_s}

    def next_s(self, now_s: float) -> float:
        """When the next of them may be tried again; infinite when none rests."""
        return min(
            (lane.rests_until_s for lane in self._lanes.values() if lane.rests_until_s > now_s), default=math.inf
        )

    def chosen(self, due: Sequence[Notice], under_way: Collection[str]) -> list[Notice]:
        """Those of the notices, one of each channel, that are begun now."""
        places = self._count - len(under_way)
        of_failing = self._count - 1 - sum(self.failures(channel) > 0 for channel in under_way)
        found: list[Notice] = []
        for notice in sorted(due, key=lambda each: (self._tried_s(each.channel), each.due_s)):
            is_failing = self.failures(notice.channel) > 0
            if len(found) < places and (not is_failing or of_failing > 0):
                found.append(notice)
                of_failing -= is_failing
        return found

    def begins(self, channel: str, now_s: float) -> None:
        """It is tried now."""
        self._lanes.setdefault(channel, _Lane(now_s)).tried_s = now_s

    def answered(self, channel: str) -> None:
        """It took the message, or said that it never will."""
        if channel in self._lanes:
            self._lanes[channel].failures, self._lanes[channel].rests_until_s = 0, -math.inf

    def failed(self, channel: str, until_s: float) -> None:
        """It is not to be tried before."""
        lane = self._lanes.setdefault(channel, _Lane(until_s))
        lane.failures, lane.rests_until_s = lane.failures + 1, until_s

    def _tried_s(self, channel: str) -> float:
        return self._lanes[channel].tried_s if channel in self._lanes else -math.inf
