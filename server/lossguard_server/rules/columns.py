"""Things that go down the rows of a window, for several series at once and with what came before the window.

Rules of this file: whatever is carried, the outcome is the same to the last bit however the rows were cut.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Number = TypeVar("Number", bound=np.generic)


def latest(fresh: Mask, values: Floats, before: Floats) -> Floats:
    """[T, P]: the newest value at or before each row. `fresh` and `values` [T, P], `before` [P]."""
    newest = np.maximum.accumulate(np.where(fresh, np.arange(len(fresh))[:, None], -1), axis=0)
    taken = np.take_along_axis(values, np.maximum(newest, 0), axis=0)
    return np.where(newest >= 0, taken, before)


def streaks(measured: Mask, hit: Mask, before: Counts) -> Counts:
    """[T, P]: so many measured rows in a row, up to this one, were hits. `before` [P] is the last row of it.

    A row that is not measured neither adds nor breaks; `hit` is a part of `measured`.
    """
    total = before + np.cumsum(hit, axis=0, dtype=np.int64)
    broken = np.maximum.accumulate(np.where(measured & ~hit, total, 0), axis=0)
    return np.asarray(total - broken)


def grown(array: npt.NDArray[Number], count: int) -> npt.NDArray[Number]:
    """The array, made [count] by zeros at its end where it is shorter: a memory by series number."""
    if len(array) >= count:
        return array
    return np.concatenate([array, np.zeros(count - len(array), array.dtype)])
