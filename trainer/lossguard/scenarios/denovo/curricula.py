"""The curricula of the reports: ten stages each, compressed to stages of any length (10,000 steps there).

Rules of this file: the reports' numbers as they stand; the order of the components is the order of their summation.
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

Weights = tuple[float, float, float]  # of COMPONENTS

STAGES: Mapping[str, tuple[Weights, ...]] = MappingProxyType(
    {
        "original": tuple((1.0, s, p) for s, p in zip(_SPECTRUM, _OLD_PRECURSOR, strict=True)),
        "reduced": tuple((1.0, s, p) for s, p in zip(_SPECTRUM, _NEW_PRECURSOR, strict=True)),
    }
)


def weights_at(name: str, step: int, stage_steps: int) -> Weights:
    """The planned weights at `step`, for whoever trains without lossguard; the last stage does not end."""
    stages = STAGES[name]
    return stages[min(step // stage_steps, len(stages) - 1)]


def curriculum(name: str, stage_steps: int) -> lg.Curriculum:
    """The same for lossguard."""
    stages = [
        lg.Stage(_stage_name(index, weights), index * stage_steps, dict(zip(COMPONENTS, weights, strict=True)))
        for index, weights in enumerate(STAGES[name])
    ]
    return lg.Curriculum(*stages)


def _stage_name(index: int, weights: Weights) -> str:
    _, spectrum, precursor = weights
    parts = [f"{name} {w:g}" for name, w in (("spectrum", spectrum), ("precursor", precursor)) if w]
    return f"{index + 1}: {', '.join(parts) or 'ce only'}"
