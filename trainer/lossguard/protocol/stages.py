"""What a curriculum plans for a step: one reading of stages and ramps for trainer, server and rules.

Rules of this file: pure functions of the declared stages and the step; no stage and no component is an error.
"""

from bisect import bisect_right
from collections.abc import Sequence

from .messages import RampSpec, StageSpec


def ramp_at(start: float, end: float, steps: int, steps_in: int) -> float:
    """The weight `steps_in` steps after a ramp began."""
    if steps_in >= steps:
        return end
    return start + (end - start) * (max(steps_in, 0) / steps)


def stage_index(stages: Sequence[StageSpec], step: int) -> int | None:
    """The index of the stage that `step` lies in, stages being in order of start; None before the first."""
    index = bisect_right(stages, step, key=lambda stage: stage.start) - 1
    return index if index >= 0 else None


def planned_weight(stage: StageSpec, component: str, step: int) -> float:
    """The weight that `stage` plans for `component` at `step`; 0 for one that it does not mention."""
    planned = stage.weights.get(component, 0.0)
    if isinstance(planned, RampSpec):
        return ramp_at(planned.start, planned.end, planned.steps, step - stage.start)
    return float(planned)


def planned_weights(stages: Sequence[StageSpec], components: Sequence[str], step: int) -> dict[str, float]:
    """The planned weight of each component at `step`; empty where no stage is declared."""
    index = stage_index(stages, step)
    return {} if index is None else {name: planned_weight(stages[index], name, step) for name in components}
