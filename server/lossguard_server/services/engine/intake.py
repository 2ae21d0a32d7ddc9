"""Rows of frames to pages of numbered series.

Rules of this file: what is not there yet must not be seen by the rows before it, so a new series begins a new page.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from lossguard.protocol.names import TOTAL

from ...rules.memory import Memory
from ...rules.page import Page
from ...store.rows import Rows
from .gallery import Gallery
from .rows import RowBuffer


class Intake:
    """What comes of one run, before it is judged."""

    def __init__(self, memory: Memory, buffer: RowBuffer | None = None) -> None:
        """`memory` numbers the series; `buffer` holds what waits from before."""
        self._memory = memory
        self.buffer = RowBuffer() if buffer is None else buffer
        self.gallery = Gallery.of(memory.names)

    def pages(self, parts: Sequence[Rows], is_last: bool = False) -> Iterator[Page]:
        """Rows as pages, to be judged before the next is asked for; with `is_last` also the step that still waits."""
        for part in parts:
            kept = self.gallery.admit(part.names)
            if not self._memory.knows(kept):
                yield from self.buffer.pages(self._memory.count)
            ids = self._memory.numbers_of(kept)
            columns = part.columns if len(kept) == len(part.names) else part.columns[self.gallery.at(part.names)]
            values = np.ascontiguousarray(columns.T, dtype=np.float64)
            self.buffer.take(np.asarray(part.steps, np.int64), ids, values, TOTAL in kept)
        if is_last:
            self.buffer.flush()
        yield from self.buffer.pages(self._memory.count)
