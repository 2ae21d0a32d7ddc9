"""Which steps a stream's messages hold, in bounded memory.

Rules of this file: one mark of the step reached for each EVERY messages; when there are too many marks, every other one
goes, and the marks that are left are twice as far apart.
"""

from array import array

EVERY = 32
MARKS_MAX = 8_192  # 64 KiB


class StepsReached:
    """Told of each message in order; answers for any run of them."""

    def __init__(self) -> None:
        self._every = EVERY
        self._marks: array[int] = array("q")  # the step reached by message (index + 1) * every
        self._step = 0

    def note(self, seq: int, last_step: int | None) -> None:
        """The message `seq` reaches `last_step`; None when it holds no steps."""
        if last_step is not None:
            self._step = last_step
        if seq % self._every == 0:
            self._marks.append(self._step)
            if len(self._marks) >= MARKS_MAX:
                self._marks = self._marks[1::2]
                self._every *= 2

    def between(self, first_seq: int, last_seq: int) -> tuple[int, int]:
        """The steps that the messages first_seq..last_seq may hold."""
        before, after = first_seq // self._every - 1, -(-last_seq // self._every) - 1
        if first_seq % self._every == 0:
            before -= 1  # its own mark is what it reaches, not where it begins
        first = self._marks[before] if 0 <= before < len(self._marks) else 0
        return first, self._marks[after] if 0 <= after < len(self._marks) else self._step
