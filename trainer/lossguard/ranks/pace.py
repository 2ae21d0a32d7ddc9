"""When the ranks take a snapshot: all at the same boundary, or there would be none that all can go back to.

Rules of this file: the first rank decides by its own clock, and asks all; at their first boundary all take one.
"""

from ..snapshots.cadence import Cadence
from ..snapshots.options import Snapshots
from . import Ranks, Wants


class SharedCadence(Cadence):
    """As rank 0 keeps it. Asked at every boundary, or a rank would hear of a snapshot later than the others."""

    def __init__(self, options: Snapshots, ranks: Ranks) -> None:
        super().__init__(options)
        self._ranks, self._has_asked = ranks, False

    def is_due(self, step: int) -> bool:
        """True when the ranks have agreed on it."""
        is_agreed = self._ranks.was_asked(Wants.SNAPSHOT)
        if self._last_step is None or is_agreed:
            self._has_asked = False
            return True
        if self._ranks.is_first and not self._has_asked and super().is_due(step):
            self._has_asked = True
            self._ranks.ask(Wants.SNAPSHOT)
        return False
