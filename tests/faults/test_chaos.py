"""kill -9 at random instants: nothing acknowledged is lost, nothing is stored twice, nothing changes on the way.

LOSSGUARD_FAULTS_N sets the number of kills (`make faults N=400`), LOSSGUARD_FAULTS_SEED repeats a run that failed.
"""

import os
import random
from pathlib import Path

import pytest

from faults.chaos import Chaos

KILLS = int(os.environ.get("LOSSGUARD_FAULTS_N", "15"))
SEED = int(os.environ.get("LOSSGUARD_FAULTS_SEED", random.SystemRandom().randrange(1 << 31)))
TIMEOUT_S = 240 + 10 * KILLS


@pytest.mark.timeout(TIMEOUT_S)
async def test_kills_of_server_trainer_and_both(tmp_path: Path) -> None:
    print(f"LOSSGUARD_FAULTS_SEED={SEED}")
    async with Chaos(tmp_path, SEED) as chaos:
        for number in range(KILLS):
            await chaos.kill()
            assert chaos.faults == [], f"kill {number} of seed {SEED}"
        await chaos.settle()
        assert chaos.faults == [], f"seed {SEED}"
        did = chaos.did
        print(dict(chaos.kills), dict(did))
    assert sum(chaos.kills.values()) == KILLS
    # a chaos that did nothing would pass too
    assert all(chaos.kills[victim] for victim in ("server", "trainer", "both"))
    assert all(did[kind] for kind in ("duplicate", "hole", "damaged", "rival", "nacked"))
    assert did["refused: bad_frame"]
    assert did["refused: replaced"]
