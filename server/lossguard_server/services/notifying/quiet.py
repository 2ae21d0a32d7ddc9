"""Quiet hours: from one time of the day to another, in a zone of the world.

Rules of this file: a night is an interval of time, worked out for the date on which it begins. So it ends once, also
where the clock is turned back over its end, and a time that a date does not have is the moment at which the clock is
turned forward over it.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo


@dataclass(frozen=True)
class Quiet:
    """No message between `start` and `end`, local times in `zone`; they differ. `nonfinite_breaks`: a critical
    non-finite value is told all the same."""

    start: time
    end: time
    zone: tzinfo
    nonfinite_breaks: bool = False

    def until_s(self, now_s: float) -> float | None:
        """When the quiet hours of `now_s` (both epoch seconds) end; None outside of them."""
        today = datetime.fromtimestamp(now_s, self.zone).date()
        for day in (today - timedelta(days=1), today):
            last_day = day if self.end > self.start else day + timedelta(days=1)
            if self._at(day, self.start) <= now_s < (ends_s := self._at(last_day, self.end)):
                return ends_s
        return None

    def _at(self, day: date, moment: time) -> float:
        """The moment in epoch seconds, its first one where there are two."""
        early, late = sorted(datetime.combine(day, moment.replace(fold=fold), self.zone).timestamp() for fold in (0, 1))
        if datetime.fromtimestamp(early, self.zone).replace(tzinfo=None) == datetime.combine(day, moment):
            return early
        return self._turned_s(int(early), int(late))

    def _turned_s(self, before_s: int, after_s: int) -> float:
        """When the clock was turned between the two."""
        offset = self._offset(before_s)
        while after_s - before_s > 1:
            middle_s = (before_s + after_s) // 2
            before_s, after_s = (middle_s, after_s) if self._offset(middle_s) == offset else (before_s, middle_s)
        return float(after_s)

    def _offset(self, at_s: int) -> timedelta | None:
        return datetime.fromtimestamp(at_s, self.zone).utcoffset()
