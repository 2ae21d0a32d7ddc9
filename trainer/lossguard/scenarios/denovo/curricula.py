"""The curricula of the reports: ten stages each, compressed to stages of any length (10,000 steps there).

Rules of this file: the reports' numbers as they stand; the order of the components is the order of their summation.

`original` and `reduced` are the first report's, `gaussian` is the third's. The second report's "healthy training" (both
auxiliary losses from stage 3 on, spectrum 0.08, precursor 0.01) is none of them: `original` and `reduced` have its
spectrum weight but bring the precursor in at stage 2, `gaussian` has its precursor but a spectrum of 0.15. The first
report calls its weights "20 to 40 %" smaller: that of stage 2, which made the incident, is the same.
"""

from collections.abc import Mapping
from types import MappingProxyType

from ... import curriculum as lg

COMPONENTS = ("ce", "spectrum", "precursor")

# Precursor weights by stage, from the table of the first report ("Old Weight", "New Weight").
_OLD_PRECURSOR = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.10)
_NEW_PRECURSOR = (0.0, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08)
# The second report gives the spectrum weight from stage 3 on.
_SPECTRUM = (0.0, 0.0, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08)
# Both by the table of the third report. "0.02-0.08" over stages 5 to 10 is taken as even steps.
_GAUSSIAN_SPECTRUM = (0.0, 0.10, 0.15, 0.20, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25)
_GAUSSIAN_PRECURSOR = (0.0, 0.0, 0.01, 0.015, 0.02, 0.032, 0.044, 0.056, 0.068, 0.08)

Weights = tuple[float, float, float]  # of COMPONENTS

STAGES: Mapping[str, tuple[Weights, ...]] = MappingProxyType(
    {
        "original": tuple((1.0, s, p) for s, p in zip(_SPECTRUM, _OLD_PRECURSOR, strict=True)),
        "reduced": tuple((1.0, s, p) for s, p in zip(_SPECTRUM, _NEW_PRECURSOR, strict=True)),
        "gaussian": tuple((1.0, s, p) for s, p in zip(_GAUSSIAN_SPECTRUM, _GAUSSIAN_PRECURSOR, strict=True)),
    }
)


def stages_of(name: str, factor: float = 1.0) -> tuple[Weights, ...]:
    """The stages' weights, those of spectrum and precursor times `factor` (the reports' mend is 0.5)."""
    return tuple((ce, factor * spectrum, factor * precursor) for ce, spectrum, precursor in STAGES[name])


def weights_at(name: str, step: int, stage_steps: int, factor: float = 1.0) -> Weights:
    """The planned weights at `step`, for whoever trains without lossguard; the last stage does not end."""
    stages = stages_of(name, factor)
    return stages[min(step // stage_steps, len(stages) - 1)]


def curriculum(name: str, stage_steps: int, factor: float = 1.0) -> lg.Curriculum:
    """The same for lossguard."""
    stages = [
        lg.Stage(_stage_name(index, weights), index * stage_steps, dict(zip(COMPONENTS, weights, strict=True)))
        for index, weights in enumerate(stages_of(name, factor))
    ]
    return lg.Curriculum(*stages)


def weight_bounds(factor: float = 1.0) -> dict[str, tuple[float, float]]:
    """From 0 to the largest weight that the reports' curricula give the component, or that `factor` makes of it."""
    every = [stage for name in STAGES for stage in (*STAGES[name], *stages_of(name, factor))]
    return {component: (0.0, max(stage[at] for stage in every)) for at, component in enumerate(COMPONENTS) if at > 0}


def _stage_name(index: int, weights: Weights) -> str:
    _, spectrum, precursor = weights
    parts = [f"{name} {w:g}" for name, w in (("spectrum", spectrum), ("precursor", precursor)) if w]
    return f"{index + 1}: {', '.join(parts) or 'ce only'}"
