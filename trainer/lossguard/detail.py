"""How much is recorded: the default, or for a while everything (per-parameter norms, activations, component gradients).

Rules of this file: full detail ends by itself; asking again while it lasts makes it end later, never earlier. Times are
steps.
"""

from collections.abc import Callable

Tell = Callable[[int, dict[str, object]], None]


class Detail:
    """The level of one run. `tell` is given (step, data of a `detail` event)."""

    def __init__(self, tell: Tell) -> None:
        self.until = -1  # the last step of full detail; -1: it is off
        self.changed: Callable[[bool], None] = lambda full: None
        self._tell = tell

    @property
    def is_full(self) -> bool:
        return self.until >= 0

    def raise_for(self, step: int, steps: int, reason: str) -> int:
        """Record everything for `steps` steps from `step` on; returns the last of them."""
        self.until = max(self.until, step + steps - 1)
        self._tell(step, {"level": "full", "until": self.until, "reason": reason})
        self.changed(True)
        return self.until

    def at_step(self, step: int) -> None:
        """Step `step` begins."""
        if self.is_full and step > self.until:
            self.until = -1
            self._tell(step, {"level": "default", "until": None, "reason": "its steps are over"})
            self.changed(False)
