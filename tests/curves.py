"""The shared curves: real training runs from public repositories, beside the checkout and never in it.

Rules of this file:
- They are looked for in the folder that LOSSGUARD_CURVES names, else in ../shared/curves beside the checkout; a test
  that needs them skips with a reason where they are missing.
- What is read is what the files say: an empty cell is NaN, steps stay in the order in which they were logged.
"""

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Floats = npt.NDArray[np.float64]

BESIDE = Path(__file__).parents[2] / "shared" / "curves"
CORPUS = "corpus.jsonl.gz"


def folder() -> Path | None:
    """Where the curves are; None where they are missing."""
    named = os.environ.get("LOSSGUARD_CURVES")
    path = Path(named) if named else BESIDE
    return path if (path / "manifest.json").is_file() else None


def required_folder() -> Path:
    """Where the curves are; the test skips where they are missing."""
    path = folder()
    if path is None:
        pytest.skip("the shared curves are not here: set LOSSGUARD_CURVES to their folder")
    return path


@dataclass(frozen=True)
class Curve:
    """One labelled run. `about` is its entry of the manifest: label, onset_step, what, ..."""

    name: str
    steps: npt.NDArray[np.int64]
    columns: dict[str, Floats]  # "loss", "grad_norm" and the components, as the file names them
    about: dict[str, Any]

    @property
    def components(self) -> dict[str, Floats]:
        return {name: self.columns[name] for name in self.about["components"]}

    @property
    def grad_norm(self) -> Floats | None:
        return self.columns.get("grad_norm")


def curve(name: str) -> Curve:
    """The labelled run whose id begins with `name`, such as "ap01"."""
    path = required_folder()
    entries = json.loads((path / "manifest.json").read_text())["curves"]
    about = next(entry for entry in entries if entry["id"].startswith(name))
    with (path / about["file"]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {key: np.array([_number(row[key]) for row in rows]) for key in rows[0] if key != "step"}
    return Curve(about["id"], np.array([int(float(row["step"])) for row in rows], dtype=np.int64), columns, about)


def _number(cell: str) -> float:
    return float(cell) if cell.strip() else float("nan")
