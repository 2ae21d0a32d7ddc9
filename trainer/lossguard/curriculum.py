"""The planned weights of the loss components: stages, constants and ramps.

Rules of this file: no torch; everything is checked when it is made, so that `weights_at` cannot fail in
the middle of a night. A component that a stage does not mention has the weight 0 there.
"""

import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import curriculum_file, operations
from .errors import ConfigError
from .protocol.frames import MAX_STEP
from .protocol.messages import Operation, RampSpec, StageSpec
from .protocol.names import contribution, fault_in
from .protocol.stages import ramp_at


@dataclass(frozen=True)
class Ramp:
    """A weight that goes linearly from `start` to `end` in `steps` steps, then stays."""

    start: float
    end: float
    steps: int

    def at(self, steps_into_stage: int) -> float:
        """The weight that many steps after the stage began."""
        return ramp_at(self.start, self.end, self.steps, steps_into_stage)


def ramp(start: float, end: float, steps: int) -> Ramp:
    """A weight that goes linearly from `start` to `end` within `steps` optimizer steps of its stage."""
    if not is_step(steps) or steps < 1:
        raise ConfigError(f"lg.ramp takes a whole number of steps from 1, not {steps!r}.")
    return Ramp(_checked_weight("lg.ramp start", start), _checked_weight("lg.ramp end", end), int(steps))


@dataclass(frozen=True)
class Stage:
    """One stage of a curriculum: its name, its first step, and each component's weight (a number or a ramp)."""

    name: str
    weights: Mapping[str, float | Ramp]
    start: int = 0

    def __init__(self, name: str, start: int = 0, weights: Mapping[str, float | Ramp] | None = None) -> None:
        if (fault := fault_in(name)) is not None:
            raise ConfigError(f"lg.Stage cannot be named {name!r}: {fault}.")
        if not is_step(start):
            raise ConfigError(f"Stage {name!r} starts at {start!r}; a start is a step number from 0.")
        checked = {key: _checked_entry(name, key, value) for key, value in (weights or {}).items()}
        if not checked:
            raise ConfigError(f"Stage {name!r} has no weights; name at least one component.")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "start", int(start))
        object.__setattr__(self, "weights", checked)

    def weight(self, component: str, step: int) -> float:
        """The weight that this stage plans for `component` at `step`; 0 for a component it does not mention."""
        planned = self.weights.get(component, 0.0)
        return planned.at(step - self.start) if isinstance(planned, Ramp) else planned

    def spec(self) -> StageSpec:
        """The stage as it crosses the wire."""
        entries: dict[str, float | RampSpec] = {
            key: RampSpec(value.start, value.end, value.steps) if isinstance(value, Ramp) else value
            for key, value in self.weights.items()
        }
        return StageSpec(self.name, self.start, entries)

    @classmethod
    def from_spec(cls, spec: StageSpec) -> "Stage":
        """The stage that has this spec. Raises ConfigError."""
        weights = {
            key: Ramp(value.start, value.end, value.steps) if isinstance(value, RampSpec) else value
            for key, value in spec.weights.items()
        }
        return cls(spec.name, spec.start, weights)


@dataclass(frozen=True)
class Curriculum:
    """Stages in order. The first starts at step 0, every later one after the one before.

    Components are those that any stage mentions, in the order of their first mention. `operations`: what was done to an
    earlier run under these stages, in force from the same steps on again (see `load`).
    """

    stages: tuple[Stage, ...]
    components: tuple[str, ...] = field(default=())
    operations: tuple[Operation, ...] = field(default=())

    def __init__(self, *stages: Stage, operations: Sequence[Operation] = ()) -> None:
        if not stages:
            raise ConfigError("lg.Curriculum takes at least one lg.Stage.")
        if stages[0].start != 0:
            raise ConfigError(f"The first stage, {stages[0].name!r}, starts at {stages[0].start}; it must start at 0.")
        for before, after in itertools.pairwise(stages):
            if after.start <= before.start:
                raise ConfigError(
                    f"Stage {after.name!r} starts at {after.start}, not after {before.name!r} at {before.start}."
                )
        names = [stage.name for stage in stages]
        if len(set(names)) < len(names):
            raise ConfigError(f"Two stages have one name: {', '.join(names)}.")
        object.__setattr__(self, "stages", tuple(stages))
        object.__setattr__(self, "components", tuple(dict.fromkeys(key for stage in stages for key in stage.weights)))
        object.__setattr__(self, "operations", _operations(operations, self, "lg.Curriculum"))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Curriculum":
        """The curriculum in a file of `lossguard export --curriculum` or `save`.

        A run that is started with it has the same weights at every step, bit for bit, as the run that was exported:
        what operators did to that one happens by itself, at the same steps. Raises ConfigError.
        """
        content = curriculum_file.read(Path(path))
        try:
            curriculum = cls(*map(Stage.from_spec, content.stages))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        object.__setattr__(curriculum, "operations", _operations(content.operations, curriculum, str(path)))
        return curriculum

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a file that `load` reads. Raises OSError."""
        curriculum_file.write(Path(path), [stage.spec() for stage in self.stages], self.operations)

    def stage_index(self, step: int) -> int:
        """The index of the stage that `step` lies in."""
        return max(index for index, stage in enumerate(self.stages) if stage.start <= max(step, 0))

    def weights_at(self, step: int) -> dict[str, float]:
        """The planned weight of every component at `step`."""
        stage = self.stages[self.stage_index(step)]
        return {component: stage.weight(component, step) for component in self.components}

    def highest_weight(self, component: str) -> float:
        """The largest magnitude that any stage plans for `component`."""
        planned = [stage.weights.get(component, 0.0) for stage in self.stages]
        return max(max(abs(p.start), abs(p.end)) if isinstance(p, Ramp) else abs(p) for p in planned)

    @classmethod
    def constant(cls, weights: Mapping[str, float]) -> "Curriculum":
        """One stage for the whole run: `lg.init(losses={"ce": 1.0, "aux": 0.1})`."""
        return cls(Stage("all", 0, dict(weights)))


def _operations(given: object, curriculum: Curriculum, where: str) -> tuple[Operation, ...]:
    return operations.read(given, curriculum.components, [stage.name for stage in curriculum.stages], where)


def is_step(value: object) -> bool:
    """True for a whole number from 0 to MAX_STEP, of whatever numeric type."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer):
        return False
    return bool(0 <= value <= MAX_STEP and value % 1 == 0)


def _checked_entry(stage: str, component: str, value: float | Ramp) -> float | Ramp:
    # contribution/... is the longest of the series that are named after a component
    if (fault := fault_in(component) or fault_in(contribution(component))) is not None:
        raise ConfigError(f"Stage {stage!r} names a component {component!r}: {fault}.")
    if component == "total":
        raise ConfigError(f"Stage {stage!r} names a component 'total'; that name is kept for the sum.")
    if isinstance(value, Ramp):
        return ramp(value.start, value.end, value.steps)
    return _checked_weight(f"Stage {stage!r}, component {component!r}", value)


def _checked_weight(where: str, value: float) -> float:
    # compared, because math.isfinite fails for an integer beyond float64
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ConfigError(f"{where}: a weight is a finite number, not {value!r}.")
    return float(value)
