"""What is in force at a step: the plan of the curriculum and of what operators did to it, looked up cheaply.

Rules of this file: pure; everything is computed by the Plan, which the server reads in the same way. Between two steps
at which something begins or ends the answer is kept, so that a step costs one comparison however much was done; only
within a ramp the weights are computed anew.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .curriculum import Curriculum
from .protocol.messages import Operation
from .protocol.steering import Plan


@dataclass(frozen=True)
class InForce:
    """All that is in force at one step. `clip`: None where the script's own norm is."""

    weights: Mapping[str, float]
    gated: frozenset[str]
    stage_index: int
    lr_scale: float
    clip: float | None


class Schedule:
    """The curriculum as it was declared and as it is now."""

    def __init__(self, curriculum: Curriculum) -> None:
        self.curriculum = curriculum
        self.plan = Plan([stage.spec() for stage in curriculum.stages], curriculum.components, curriculum.operations)
        self._forget()

    def at(self, step: int) -> InForce:
        """What is in force at `step`; not to be changed."""
        if not self._from <= step < self._until:
            self._look_up(step)
        if self._is_level:
            return self._found
        return replace(self._found, weights=self.plan.weights_at(step))

    def weights_at(self, step: int) -> dict[str, float]:
        """The weight in force of every component at `step`."""
        return dict(self.at(step).weights)

    def apply(self, operation: Operation) -> None:
        """One operation more. Raises NotPossible."""
        self._become(self.plan.plus(operation))

    def roll_back(self, came_from: int, to_step: int) -> None:
        """Training went back from the boundary before `came_from` to that before `to_step`."""
        self._become(self.plan.rolled_back(to_step, came_from))

    def resume(self, operations: Sequence[Operation]) -> None:
        """These, and no others, were applied before."""
        self._become(Plan(self.plan.stages, self.plan.components, operations))

    # -- inside -------------------------------------------------------------------------------------------------

    def _become(self, plan: Plan) -> None:
        self.plan = plan
        self._forget()

    def _forget(self) -> None:
        self._from = self._until = 0  # no step lies in between
        self._is_level = True

    def _look_up(self, step: int) -> None:
        plan = self.plan
        changes = plan.changes_after(step)
        weights = plan.weights_at(step)
        index, clip = plan.stage_index_at(step), plan.clip_at(step)
        self._found = InForce(weights, plan.gated_at(step), index or 0, plan.lr_scale_at(step), clip)
        self._from, self._until = step, changes[0] if changes else sys.maxsize
        # up to the next change each weight is constant or goes one way: the ends are equal, or it is within a ramp
        self._is_level = not changes or weights == plan.weights_at(changes[0] - 1)
