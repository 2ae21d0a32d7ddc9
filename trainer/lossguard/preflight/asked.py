"""Whether this process is to look only: LOSSGUARD_PREFLIGHT=4 makes every lg.init of it a preflight of four batches.

Rules of this file: the environment and nothing else, no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError

BATCHES, FILE = "LOSSGUARD_PREFLIGHT", "LOSSGUARD_PREFLIGHT_FILE"


@dataclass(frozen=True)
class Asked:
    """`batches`: how many to look at. `file`: where the report goes; None prints it."""

    batches: int
    file: Path | None


def asked(environ: Mapping[str, str]) -> Asked | None:
    """None where this is a training. Raises ConfigError."""
    if not (text := environ.get(BATCHES)):
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ConfigError(f"{BATCHES} is {text!r}; it is a number of batches from 1.")
    file = environ.get(FILE)
    return Asked(int(text), Path(file) if file else None)
