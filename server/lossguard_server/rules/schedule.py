"""What the run declared: stages, the weights that they intend, ranges and bounds.

Rules of this file: intentions only. The weights in force are the run's own `weight/<component>` series; these here say
which component was meant to lead, and stand in where a weight is not reported. A stage that an operator holds, or goes
to, begins when the plan says, and not at its declared step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lossguard.protocol.messages import Declaration, RampSpec, StageSpec
from lossguard.protocol.names import EVALUATED
from lossguard.protocol.stages import planned_weight, stage_index
from lossguard.protocol.steering import CLOCK_KINDS, Plan


@dataclass(frozen=True)
class Stage:
    """Where the run is in its curriculum; `start` is a step of the training."""

    index: int
    name: str
    start: int


class Schedule:
    """A declaration, made ready to be asked by step; its `operations` are what was done to it since."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.components = tuple(declaration.components)
        self.contracts = {contract.series: contract for contract in declaration.contracts}
        self.weight_bounds = dict(declaration.controls.weight_bounds)
        self.kinds = frozenset(declaration.controls.kinds)
        blends = {contract.series: contract.of for contract in declaration.contracts if contract.kind == "blend"}
        self._depths = _depths(blends)
        self._stages = sorted(declaration.stages, key=lambda stage: stage.start)
        # only where the curriculum's clock was touched: else a step is where it stands
        operations = declaration.operations
        is_steered = any(each.kind in CLOCK_KINDS for each in operations)
        self._plan = Plan(self._stages, self.components, operations) if is_steered else None

    def stage_at(self, step: int) -> Stage | None:
        """The stage that `step` belongs to, and when it began; None before the first one, or where none is declared."""
        index = stage_index(self._stages, self._position(step))
        if index is None:
            return None
        start = self._stages[index].start if self._plan is None else self._plan.began_at(step)
        return Stage(index, self._stages[index].name, start)

    def stages_at(self, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """[n]: the number of each step's stage; -1 before the first, or where none is declared."""
        starts = np.array([stage.start for stage in self._stages], dtype=np.int64)
        if self._plan is not None:
            steps = np.array([self._position(step) for step in steps.tolist()], dtype=np.int64)
        return np.searchsorted(starts, steps, side="right").astype(np.int64) - 1

    def stage_after(self, step: int) -> Stage | None:
        """The next stage that begins after `step`; None when there is none, or the present one is held."""
        position = self._position(step)
        index = next((i for i, stage in enumerate(self._stages) if stage.start > position), None)
        if index is None:
            return None
        start = self._stages[index].start if self._plan is None else self._plan.begins_at(index, step)
        return None if start is None else Stage(index, self._stages[index].name, start)

    def weight_at(self, component: str, step: int) -> float | None:
        """The weight declared for `component` at `step`; 0 where its stage does not name it; None without stages."""
        spec = self._spec_at(step)
        return None if spec is None else planned_weight(spec, component, self._position(step))

    def weights_at(self, component: str, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """[n]: the weight declared for `component` at each step; NaN without stages."""
        weights = (self.weight_at(component, step) for step in steps.tolist())
        return np.array([np.nan if weight is None else weight for weight in weights], dtype=np.float64)

    def aim_at(self, component: str, step: int) -> float | None:
        """The weight that the stage leads to, its ramp done: what rank the component is meant to have."""
        spec = self._spec_at(step)
        if spec is None:
            return None
        weight = spec.weights.get(component, 0.0)
        return weight.end if isinstance(weight, RampSpec) else float(weight)

    def allows(self, kind: str) -> bool:
        """Whether the training script lets an operator do this; a script that lists nothing allows nothing."""
        return kind in self.kinds

    def depth_of(self, series: str) -> int:
        """How many blends deep a matrix is made of others: 0 for what is measured, 1 for a blend of that, and so on."""
        name = series.removeprefix(EVALUATED)
        return self._depths.get(name, self._depths.get(name.rpartition("/")[0], 0))

    def _spec_at(self, step: int) -> StageSpec | None:
        index = stage_index(self._stages, self._position(step))
        return None if index is None else self._stages[index]

    def _position(self, step: int) -> int:
        """Where the curriculum's clock stands."""
        return step if self._plan is None else self._plan.clock_at(step).position


def _depths(blends: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """One more than the deepest part; of blends that name each other in a circle it is bounded, and means nothing."""
    depths = dict.fromkeys(blends, 1)
    for _ in blends:
        deeper = {name: 1 + max((depths.get(part, 0) for part in parts), default=0) for name, parts in blends.items()}
        if deeper == depths:
            break
        depths = deeper
    return depths
