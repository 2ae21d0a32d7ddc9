"""The newest entries of a stream, by number, so that a viewer whose connection broke can have what it missed.

Rules of this file: pure; bounded by count and by bytes. A number is given once: what is cleared is skipped, never
reused, so that a number of before says "not held" and not "nothing missed".
"""

from collections import deque
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Ring(Generic[T]):
    """Entries `base + 1` to `number`, in order."""

    def __init__(self, base: int, max_count: int, max_bytes: int) -> None:
        self.number = self._base = base
        self._max_count, self._max_bytes = max_count, max_bytes
        self._entries: deque[tuple[T, int]] = deque()
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: T, size_bytes: int) -> int:
        """Returns the entry's number. An entry larger than the whole ring is not held."""
        self.number += 1
        self._entries.append((entry, size_bytes))
        self._size_bytes += size_bytes
        while len(self._entries) > self._max_count or self._size_bytes > self._max_bytes:
            self._size_bytes -= self._entries.popleft()[1]
            self._base += 1
        return self.number

    def after(self, number: int) -> list[tuple[int, T]] | None:
        """Every entry behind `number`, with its number; None when some are not held, or the number was never given."""
        if not self._base <= number <= self.number:
            return None
        entries = islice(self._entries, number - self._base, None)
        return [(number + 1 + index, entry) for index, (entry, _) in enumerate(entries)]

    def clear(self) -> None:
        """What was holds no more: no earlier number can be resumed from."""
        self._entries.clear()
        self._size_bytes = 0
        self.number += 1
        self._base = self.number
