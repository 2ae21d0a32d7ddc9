"""What the run declared: stages, the weights that they intend, ranges and bounds.

Rules of this file: intentions only. The weights in force are the run's own `weight/<component>` series; these here say
which component was meant to lead, and stand in where a weight is not reported.
"""

from dataclasses import dataclass

from lossguard.protocol.messages import Declaration, RampSpec, StageSpec
from lossguard.protocol.stages import planned_weight, stage_index


@dataclass(frozen=True)
class Stage:
    """Where the run is in its curriculum."""

    index: int
    name: str
    start: int


class Schedule:
    """A declaration, made ready to be asked by step."""

    def __init__(self, declaration: Declaration) -> None:
        self.components = tuple(declaration.components)
        self.contracts = {contract.series: contract for contract in declaration.contracts}
        self.weight_bounds = dict(declaration.controls.weight_bounds)
        self.kinds = frozenset(declaration.controls.kinds)
        self._stages = sorted(declaration.stages, key=lambda stage: stage.start)

    def stage_at(self, step: int) -> Stage | None:
        """The stage that `step` belongs to; None before the first one, or where none is declared."""
        index = stage_index(self._stages, step)
        return None if index is None else Stage(index, self._stages[index].name, self._stages[index].start)

    def weight_at(self, component: str, step: int) -> float | None:
        """The weight declared for `component` at `step`; 0 where its stage does not name it; None without stages."""
        spec = self._spec_at(step)
        return None if spec is None else planned_weight(spec, component, step)

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

    def _spec_at(self, step: int) -> StageSpec | None:
        index = stage_index(self._stages, step)
        return None if index is None else self._stages[index]
