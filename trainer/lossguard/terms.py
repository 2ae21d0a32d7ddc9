"""Puts what is in force at a step where it acts: into the weights on the device and the learning rates.

Rules of this file: at a boundary only. A change of stage is told when its first step begins. Where the terms of a step
cannot be computed, those before stay in force.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from .buffer import Note
from .schedule import InForce, Schedule

if TYPE_CHECKING:
    from .lr_scale import LrScale
    from .weights import DeviceWeights


class Terms:
    """The terms under which a step is made."""

    def __init__(
        self,
        schedule: Schedule,
        weights: "DeviceWeights",
        lr_scale: "LrScale",
        add_note: Callable[[Note], None],
        clock: Callable[[], float],
        first_step: int,
    ) -> None:
        self.schedule, self.lr_scale = schedule, lr_scale
        self._weights, self._add_note, self._clock = weights, add_note, clock
        self.now: InForce = schedule.at(first_step)  # of the step that is being made
        self.stage = ""
        self.script_clips_to: float | None = None  # what run.clip_grad_norm_ was called with last
        self._stage_index = -1

    def enter(self, step: int, replayed: int | None = None) -> None:
        """Step `step` begins; `replayed`: the earlier step that it makes once more, under that step's terms."""
        now = self.schedule.at(step if replayed is None else replayed)
        self._weights.update(now.weights, now.gated)
        self.lr_scale.set(now.lr_scale)
        self.now = now
        self.stage = self.schedule.curriculum.stages[now.stage_index].name
        if replayed is None and now.stage_index != self._stage_index:
            self._stage_index = now.stage_index
            self._add_note(Note("stage", step, self._clock(), {"index": now.stage_index, "name": self.stage}))
