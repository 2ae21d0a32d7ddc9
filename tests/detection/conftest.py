"""Tests of what lossguard sees in real curves. They use the benchmark's own scoring, so both measure the same thing."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from detection.corpus import Run, runs

import curves


@pytest.fixture(scope="session")
def corpus() -> list[Run]:
    """The shared corpus; the test skips where it is missing."""
    path = curves.required_folder() / curves.CORPUS
    if not path.is_file():
        pytest.skip(f"the shared curves have no {curves.CORPUS}")
    return list(runs(path))
