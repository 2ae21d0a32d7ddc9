"""The two curricula: one stage, or two of which the second mends the mask.

Rules of this file: every stage has the same weights; what a stage of `staged` changes is the probability of the mask,
which the script looks up by the stage's name.
"""

from collections.abc import Mapping
from types import MappingProxyType

from ... import curriculum as lg
from .masking import BERT, RARE

COMPONENTS = ("numeric", "mode")  # the order of their summation
ALL = "all"
STAGED: Mapping[str, float] = MappingProxyType({f"p {RARE:g}": RARE, f"p {BERT:g}": BERT})


def stage_at(name: str, step: int, stage_steps: int) -> str:
    """The name of the planned stage, for whoever trains without lossguard."""
    if name != "staged":
        return ALL
    return tuple(STAGED)[min(step // stage_steps, len(STAGED) - 1)]


def curriculum(name: str, stage_steps: int) -> lg.Curriculum:
    """The same for lossguard."""
    names, weights = tuple(STAGED) if name == "staged" else (ALL,), dict.fromkeys(COMPONENTS, 1.0)
    return lg.Curriculum(*(lg.Stage(stage, index * stage_steps, weights) for index, stage in enumerate(names)))
