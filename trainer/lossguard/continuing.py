"""How a run goes on in another process: what its checkpoints carry, and what it takes over from one.

Rules of this file: before the first step only. What was done to the run is the schedule's; here it is put there, and
told to the server and to the controller, which does not do it again.
"""

import time
from collections.abc import Callable
from typing import Any

from .buffer import Note
from .errors import ConfigError
from .loop import Loop
from .protocol.steering import LR
from .resuming import WAIT_S, Life, Resumed, read_state


class Continuing:
    """One life of a run, its end and its beginning."""

    def __init__(
        self, life: Life, loop: Loop, add_note: Callable[[Note], None], clock: Callable[[], float] = time.time
    ) -> None:
        self.life = life
        self._loop, self._add_note, self._clock = loop, add_note, clock
        self._applied_upto = 0  # where no controller counts

    def state(self) -> dict[str, Any]:
        """For a checkpoint of the state after the step that is being made; at a boundary, before the coming one."""
        loop = self._loop
        if loop.parts is not None:
            self._applied_upto = loop.parts.controller.applied_upto
        return self.life.state(max(loop.step + 1, loop.first_step), loop.schedule, self._applied_upto)

    def load(self, state: object) -> None:
        """Go on from a checkpoint that init did not know of. Raises ConfigError."""
        if self._loop.step >= self._loop.first_step:
            raise ConfigError("run.load_state_dict comes before the first step; this run has begun.")
        self.go_on(read_state(state, self._loop.schedule.curriculum), WAIT_S)

    def go_on(self, resumed: Resumed, wait_s: float) -> None:
        """Take over its step and what operators had done by then."""
        loop = self._loop
        loop.schedule.resume(resumed.operations)
        loop.start_at(resumed.step)
        self._applied_upto = resumed.applied_upto
        self.hook_rates()
        self._add_note(Note("resume", resumed.step, self._clock(), resumed.to_data()))
        if loop.parts is not None:
            # another run's commands are not offered to this one
            loop.parts.controller.resume(resumed, wait_s if resumed.life.run == self.life.run else 0.0)

    def hook_rates(self) -> None:
        """Where the learning rates are scaled some time, or may be: an optimizer that nobody steers is left alone."""
        loop = self._loop
        if loop.parts is not None or any(each.kind == LR for each in loop.schedule.plan.operations):
            loop.lr_scale.attach()
