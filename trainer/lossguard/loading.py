"""The batches of one loader, a step's worth at a time.

Rules of this file: a batch may be anything, even None. What the user's loader raises is the user's.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from .shield import Shield

T = TypeVar("T")


class End:
    """The loader has no more batches."""


class Loading(Generic[T]):
    """One pass over a loader, `accumulate` batches a step."""

    def __init__(self, loader: Iterable[T], accumulate: int, is_counted: bool) -> None:
        """`is_counted`: the loader is asked for its length, which makes torch's warn of a wrong one."""
        self._loader, self._accumulate = loader, accumulate
        self._batches = iter(loader)
        self._left = _length(loader) if is_counted else None

    @property
    def steps_left(self) -> int | None:
        """How many steps there are batches for, as far as the loader's length says; None where nothing says it."""
        return None if self._left is None else -(-self._left // self._accumulate)

    def rewind(self, state: object, shield: Shield) -> None:
        """Go back to where the loader said `state`."""
        with shield("rewinding the data"):
            loader: Any = self._loader
            loader.load_state_dict(state)
        self._batches, self._left = iter(self._loader), None

    def first(self) -> tuple[T | End, float]:
        """A step's first batch, and the seconds it took."""
        began_s = time.perf_counter()
        batch = next(self._batches, End())
        if self._left is not None:
            self._left -= self._accumulate
        return batch, time.perf_counter() - began_s

    def rest(self) -> Iterator[tuple[T, float]]:
        """The step's others, as far as there are any."""
        for _ in range(self._accumulate - 1):
            began_s = time.perf_counter()
            batch = next(self._batches, End())
            if isinstance(batch, End):
                return
            yield batch, time.perf_counter() - began_s


def _length(loader: Any) -> int | None:
    with contextlib.suppress(Exception):  # it has none, or fails at it; the script alone would not have asked
        return len(loader)
    return None
