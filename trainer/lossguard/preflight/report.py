"""What a preflight found, as a value: components, stages with a row a component, and what is wrong with each stage.

Rules of this file: data, no torch. A number that is not finite is a value like others; None is what was not measured.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..protocol.numbers import jsonable

FINE, WARNING, CRITICAL = "fine", "warning", "critical"


@dataclass(frozen=True)
class Component:
    """The raw loss of one component over the batches.

    raw, low, high: median, smallest and largest of the finite values; where none is finite, the first value. seen: in
    how many batches it was; nonfinite: in how many of them it was NaN or infinite. grad_norm: the median L2 norm of its
    gradient by the trainable parameters, groups: the same by group; grad_nonfinite: as nonfinite, of the gradients;
    grad_zero: in how many of them the gradient was exactly 0.
    """

    name: str
    raw: float
    low: float
    high: float
    seen: int
    nonfinite: int = 0
    grad_norm: float | None = None
    grad_nonfinite: int = 0
    grad_zero: int = 0
    groups: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One component at one stage. weight: a ramp's is that of its end. contribution = weight * raw; share: of the sum
    of all |contributions|; grad_norm: of the contribution, |weight| times that of the raw loss."""

    component: str
    weight: float
    raw: float
    contribution: float
    share: float
    grad_norm: float | None


@dataclass(frozen=True)
class Finding:
    """What is wrong with a stage. kind: not_finite, gradient_not_finite, alone, stage (the total jumps or a component
    takes it over), gradient, no_gradient, dead, too_large, unknown. weight: the one that mends it, where one does."""

    kind: str
    severity: str
    component: str
    text: str
    weight: float | None = None


@dataclass(frozen=True)
class StageReport:
    """One stage. total: the sum of its contributions; jump: in times the total just before it, None where that is not
    known; findings: the worst first, none where the stage is fine."""

    name: str
    start: int
    rows: tuple[Row, ...]
    total: float
    jump: float | None
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """fine, warning or critical."""
        return self.findings[0].severity if self.findings else FINE


@dataclass(frozen=True)
class Report:
    """What a preflight found; `str(report)` is a table of at most 100 columns."""

    batches: int
    components: tuple[Component, ...]
    stages: tuple[StageReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True when no stage would blow up; warnings are none."""
        return all(stage.verdict != CRITICAL for stage in self.stages)

    @property
    def sentence(self) -> str:
        """The whole in one sentence."""
        bad = [stage for stage in self.stages if stage.verdict == CRITICAL]
        warned = [stage for stage in self.stages if stage.verdict == WARNING]
        if bad:
            more = f"; {len(bad) - 1} later ones are critical too" if len(bad) > 1 else ""
            return f"Stage {bad[0].name!r} would blow up, by {bad[0].findings[0].component}{more}."
        if warned:
            more = f" and {len(warned) - 1} more" if len(warned) > 1 else ""
            return f"No stage would blow up; there is a warning for stage {warned[0].name!r}{more}."
        return "Every stage is fine."

    def to_dict(self) -> dict[str, Any]:
        """For JSON: a number that is not finite is "NaN", "Infinity" or "-Infinity"."""
        stages = [{**asdict(stage), "verdict": stage.verdict} for stage in self.stages]
        components = [asdict(component) for component in self.components]
        found = {"ok": self.ok, "sentence": self.sentence, "batches": self.batches}
        return dict(jsonable({**found, "components": components, "stages": stages, "notes": self.notes}))

    def __str__(self) -> str:
        from .table import table

        return table(self)
