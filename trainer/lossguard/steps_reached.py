"""Which steps a stream's messages hold, in bounded memory.

Rules of this file: one mark for each EVERY messages, of the lowest and the highest of their steps (after a rollback the
last one is neither); when there are too many marks, two become one, and each stands for twice as many messages.
"""

from array import array

EVERY = 32
MARKS_MAX = 8_192  # 128 KiB


class StepsReached:
    """Told of each message in order; answers for any run of them."""

    def __init__(self) -> None:
        self._every = EVERY
        # of the messages index * every + 1 .. (index + 1) * every; the last mark is still growing
        self._lows: array[int] = array("q")
        self._highs: array[int] = array("q")
        self._step = 0

    def note(self, seq: int, steps: tuple[int, int] | None) -> None:
        """The message `seq` holds these steps, the first and the last; None when it holds none."""
        first, self._step = steps or (self._step, self._step)
        at = (seq - 1) // self._every
        while len(self._lows) <= at:
            self._lows.append(first)
            self._highs.append(self._step)
        self._lows[at] = min(self._lows[at], first)
        self._highs[at] = max(self._highs[at], self._step)
        if len(self._lows) >= MARKS_MAX and seq % self._every == 0:
            self._every *= 2
            self._lows = array("q", map(min, self._lows[::2], self._lows[1::2]))
            self._highs = array("q", map(max, self._highs[::2], self._highs[1::2]))

    def between(self, first_seq: int, last_seq: int) -> tuple[int, int]:
        """The steps that the messages first_seq..last_seq may hold."""
        marks = slice((first_seq - 1) // self._every, (last_seq - 1) // self._every + 1)
        return min(self._lows[marks], default=self._step), max(self._highs[marks], default=self._step)
