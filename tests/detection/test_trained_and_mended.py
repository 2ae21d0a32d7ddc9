"""Variants trained against a real server, at a reduced length: with the guard, without it, and with the remedy pressed.

They are rows of `make scenarios` and judged by it. Where LOSSGUARD_FAULTS_N is set it is each variant that has an
incident, else the one in which the guard keeps the weights from becoming NaN.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lossguard.scenarios import SCENARIOS
from processes import clean_environment

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "scenarios.py"
INCIDENTS = [
    f"{scenario.name}/{variant}"
    for scenario in SCENARIOS.values()
    for variant, truth in scenario.variants.items()
    if truth.onset_stage is not None
]
GUARDED = "tabular/empty_mask"
FACTORS = {"denovo/log1p_x100": 0.4}  # below it its stages are too short to be foretold


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", INCIDENTS if "LOSSGUARD_FAULTS_N" in os.environ else [GUARDED])
def test_a_variant_is_seen_named_and_mended(name: str) -> None:
    command = [sys.executable, str(BENCHMARK), "--only", name, "--factor", str(FACTORS.get(name, 0.1))]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 1 as their truth says." in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if line.startswith(f"| {name.replace('/', ' | ')} |")]
    guarded, bare, verdict = [cell.strip() for cell in row.split(" | ")][-3:]
    assert (guarded.startswith("weights finite"), verdict.strip(" |")) == (True, "as it must be")
    if name == GUARDED:
        assert "weights NaN by 0" in bare
