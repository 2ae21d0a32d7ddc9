"""What a training script lets an operator do to it.

Rules of this file: data and its checks. What is declared here crosses the wire, and binds the trainer whatever the
server asks for.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import ConfigError
from .protocol.messages import COMMAND_KINDS, DETAIL_STEPS_MAX, ControlsSpec
from .schedule import Schedule

PAUSE_MAX_S = 6 * 3600.0  # idle accelerators are taken away by many clusters within hours


@dataclass(frozen=True)
class Controls:
    """What an operator may do to this run.

    `kinds`: allowed kinds of command (all by default; () forbids control). `weight_bounds`: (low, high) a component;
    without one, from 0 to ten times the highest planned weight, at least 1. `pause_max_s`: a pause ends by itself then.
    `detail_on_alert`: for so many steps everything is recorded when an alert fires (0: never). `lr_scale_bounds`: of
    what the learning rates may be multiplied by. `clip_bounds`: of the norm that gradients may be clipped to.
    """

    weight_bounds: Mapping[str, tuple[float, float]] | None = None
    kinds: tuple[str, ...] = COMMAND_KINDS
    pause_max_s: float = PAUSE_MAX_S
    detail_on_alert: int = 0
    lr_scale_bounds: tuple[float, float] = (0.0, 10.0)
    clip_bounds: tuple[float, float] = (1e-6, 1e6)

    def __post_init__(self) -> None:
        if unknown := [kind for kind in self.kinds if kind not in COMMAND_KINDS]:
            raise ConfigError(f"lg.Controls allows {unknown[0]!r}; known kinds are {', '.join(COMMAND_KINDS)}.")
        if not isinstance(self.detail_on_alert, int) or not 0 <= self.detail_on_alert <= DETAIL_STEPS_MAX:
            raise ConfigError(
                f"lg.Controls got detail_on_alert={self.detail_on_alert!r}; it is a number of steps from 0."
            )
        for component, bounds in (self.weight_bounds or {}).items():
            if not _are_bounds(bounds):
                raise ConfigError(f"lg.Controls bounds {component!r} by {bounds!r}; give finite (low, high).")
        for what, bounds, lowest in (
            ("lr_scale_bounds", self.lr_scale_bounds, 0.0),
            ("clip_bounds", self.clip_bounds, 5e-324),  # a norm of 0 would end every update in silence
        ):
            if not _are_bounds(bounds) or bounds[0] < lowest:
                word = "from 0" if lowest == 0.0 else "above 0"
                raise ConfigError(f"lg.Controls got {what}={bounds!r}; give finite (low, high) {word}.")

    def spec(self, schedule: Schedule) -> ControlsSpec:
        """The controls as they cross the wire, with the bounds of every component."""
        curriculum, given = schedule.curriculum, self.weight_bounds or {}
        if unknown := [name for name in given if name not in curriculum.components]:
            known = ", ".join(curriculum.components)
            raise ConfigError(f"lg.Controls bounds {unknown[0]!r}, which no stage declares; declared are {known}.")
        bounds = {
            name: (float(given[name][0]), float(given[name][1]))
            if name in given
            else (0.0, max(1.0, 10 * curriculum.highest_weight(name)))
            for name in curriculum.components
        }
        return ControlsSpec(
            list(self.kinds),
            bounds,
            self.detail_on_alert,
            (float(self.lr_scale_bounds[0]), float(self.lr_scale_bounds[1])),
            (float(self.clip_bounds[0]), float(self.clip_bounds[1])),
        )


def _are_bounds(bounds: object) -> bool:
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        return False
    low, high = bounds
    return isinstance(low, int | float) and isinstance(high, int | float) and -math.inf < low <= high < math.inf
