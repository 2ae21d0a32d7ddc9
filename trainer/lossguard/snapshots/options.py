"""How a run keeps snapshots, as a script says it.

Rules of this file: no torch. What cannot be meant so is refused here, when the script is set up, and never later.
"""

import math
from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True)
class Snapshots:
    """In-memory snapshots of the training state, to roll back to. Public as `lossguard.Snapshots`.

    `every`: steps between two snapshots; None finds the smallest interval whose stall stays within `stall_share` of the
    training time, and that is not below `healthy_after`. `healthy_after`: a snapshot may be restored once so many steps
    after it were healthy; until then no other is taken, so a smaller `every` has no effect. `slots`: healthy snapshots
    kept. Host memory: (slots + 1) times parameters, buffers and optimizer state; where that is more than `memory_share`
    of what is free, there are no snapshots, which is told.
    `rewind_data`: a rollback also sets the loader back (it must have `state_dict` and `load_state_dict`); without it,
    training goes on with new data, because the same batches in the same state fail in the same way.
    Raises ConfigError.
    """

    every: int | None = None
    healthy_after: int = 50
    slots: int = 2
    stall_share: float = 0.005
    rewind_data: bool = False
    memory_share: float = 0.5

    def __post_init__(self) -> None:
        if self.every is not None:
            _require(_is_count(self.every), "every", self.every, "a whole number of steps, at least 1, or None")
        _require(_is_count(self.healthy_after), "healthy_after", self.healthy_after, "a whole number, at least 1")
        _require(_is_count(self.slots), "slots", self.slots, "a whole number of snapshots, at least 1")
        _require(_is_share(self.stall_share), "stall_share", self.stall_share, "a share above 0, at most 1")
        _require(_is_share(self.memory_share), "memory_share", self.memory_share, "a share above 0, at most 1")
        _require(isinstance(self.rewind_data, bool), "rewind_data", self.rewind_data, "True or False")


def _require(is_right: bool, name: str, value: object, allowed: str) -> None:
    if not is_right:
        raise ConfigError(f"lg.Snapshots got {name}={value!r}; give {allowed}.")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_share(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 < value <= 1
