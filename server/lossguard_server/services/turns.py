"""How a thread that computes works beside one that must answer at once.

Rules of this file: no thread is started, and time is the given clock's. Python's threads take turns: each time that the
event loop comes back from a socket it waits for the interpreter, up to a millisecond while somebody computes. So work
goes in short pages, and after each one whoever computes rests, as long as others are at work.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

PAGE_S = 0.02  # an acknowledgement comes within 100 ms
REST = 3.0  # times as long as the page took: a quarter of a core for whoever computes
SIZE_MAX = 256


class Turns:
    """Says how much to take at once (`size`), and rests."""

    def __init__(self, clock: Callable[[], float], others: Callable[[], int], wait: Callable[[float], object]) -> None:
        """`clock` gives monotonic seconds; `others` counts what others did so far; `wait` waits so many seconds."""
        self._clock, self._others, self._wait = clock, others, wait
        self.size = SIZE_MAX

    @contextmanager
    def page(self) -> Iterator[None]:
        """One page of work; returns after the rest that is due."""
        others, began_s = self._others(), self._clock()
        yield
        took_s = self._clock() - began_s
        if took_s > PAGE_S:
            self.size = max(1, self.size // 2)
        elif took_s < PAGE_S / 2:
            self.size = min(SIZE_MAX, 2 * self.size)
        if self._others() != others:
            self._wait(REST * took_s)
