"""The reference trainings of lossguard, each with its incident and the truth about it.

Rules of this file: a catalogue, not a registry; a scenario is listed here by hand. Importing it brings no torch.
"""

from collections.abc import Mapping
from types import MappingProxyType

from .catalogue import Options, Scenario, Truth, UnknownChoice
from .denovo import DENOVO
from .planets import PLANETS
from .record import NullRecorder, Recorder
from .ris import RIS
from .tabular import TABULAR

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {scenario.name: scenario for scenario in (DENOVO, RIS, TABULAR, PLANETS)}
)


def find(name: str) -> Scenario:
    """The scenario of that name; raises UnknownChoice, whose text lists those that exist."""
    if name not in SCENARIOS:
        raise UnknownChoice("scenario", name, tuple(SCENARIOS))
    return SCENARIOS[name]


__all__ = ["SCENARIOS", "NullRecorder", "Options", "Recorder", "Scenario", "Truth", "UnknownChoice", "find"]
