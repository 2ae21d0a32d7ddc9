"""The trainer's own account of what it computed, to hold the server's database against.

Rules of this file: numbers as float.hex(), so that not a bit is lost; a line is on its way to the disk before the next
step begins, because the tests kill whoever they like at any moment. Reading a loss waits for the device, hence this is
for tests only and off by default.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Scalar(Protocol):
    """A number that may still be on a device, such as a 0-d tensor."""

    def item(self) -> float: ...


class Recorder(Protocol):
    """Where a training writes its own truth."""

    def write(self, step: int, losses: Mapping[str, Scalar], weights: Mapping[str, float], total: Scalar) -> None: ...

    def close(self) -> None: ...


class NullRecorder:
    """Writes nothing, reads nothing, waits for nothing."""

    def write(self, step: int, losses: Mapping[str, Scalar], weights: Mapping[str, float], total: Scalar) -> None:
        """Forget it."""

    def close(self) -> None:
        """Nothing is open."""


class JsonlRecorder:
    """One JSON object a step: {"step", "loss": {component: hex}, "weight": {component: hex}, "total": hex}."""

    def __init__(self, path: Path) -> None:
        """Create or empty the file; raises OSError."""
        self._file = path.open("w", encoding="utf-8", buffering=1)

    def write(self, step: int, losses: Mapping[str, Scalar], weights: Mapping[str, float], total: Scalar) -> None:
        """Append the line of `step`."""
        line = {
            "step": step,
            "loss": {name: float(loss.item()).hex() for name, loss in losses.items()},
            "weight": {name: weight.hex() for name, weight in weights.items()},
            "total": float(total.item()).hex(),
        }
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """No more lines."""
        self._file.close()
