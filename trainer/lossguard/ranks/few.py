"""What ranks other than the first tell of themselves: enough to see which is slow, and which was bad first.

Rules of this file: rank 0 tells of the run; what would only repeat it is left out. The rules judge what rank 0 tells,
so it is told when this rank is not finite.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..buffer import Note, Row

SERIES = frozenset({"step_time_s", "data_wait_s", "loss/total", "grad_norm/total", "skipped"})
BAD_EVENTS = frozenset({"trip", "nonfinite"})
EVENTS = BAD_EVENTS | {"error", "gap", "finish"}
LAYOUTS_MAX = 1_000

Places = npt.NDArray[np.int64]


class Few:
    """Picks from what a rank would tell."""

    def __init__(
        self, add_row: Callable[[Row], None], add_note: Callable[[Note], None], is_bad: Callable[[], None]
    ) -> None:
        """`is_bad`: called in the training's thread when something of this rank is not finite."""
        self._add_row, self._add_note, self._is_bad = add_row, add_note, is_bad
        self._layouts: dict[tuple[str, ...], tuple[tuple[str, ...], Places]] = {}

    def add_row(self, row: Row) -> None:
        """The few series of it, if any."""
        names, places = self._layout(row.names)
        if names:
            self._add_row(Row(row.step, names, np.asarray(row.values)[places], row.time_s))

    def add_note(self, note: Note) -> None:
        """If it is of this rank alone."""
        if note.kind in EVENTS:
            self._add_note(note)
        if note.kind in BAD_EVENTS:
            self._is_bad()

    def _layout(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], Places]:
        if names not in self._layouts:
            if len(self._layouts) >= LAYOUTS_MAX:  # names made up each step would grow this for ever
                self._layouts.clear()
            places = [i for i, name in enumerate(names) if name in SERIES]
            self._layouts[names] = tuple(names[i] for i in places), np.array(places, dtype=np.int64)
        return self._layouts[names]
