"""The harness is proven: each sabotage of server or trainer is caught, and the same course without one is clean.

A chaos test that passes a sabotaged server is worthless: clients that resume heal most of what a server does wrong.
Power cuts have their own sabotages (test_power_cut), damaged spools theirs (test_spool_every_byte).
"""

import os
from pathlib import Path

import pytest

from faults.chaos import Chaos
from faults.sabotage import entry

SEED = 20_261_121
KILLS_MAX = 12

# (sabotage, words of the sentence that must be said)
OF_THE_SERVER = [
    ("acknowledge_before_commit", "lost"),
    ("no_dedup", "altered"),
    ("holes_accepted", "hole"),
    ("no_crc_check", "altered"),
    ("nan_through_json", "altered"),
    ("rollback_but_acknowledge", "acknowledged"),
]
# in CI, which must end in twenty minutes, those that say most; `make faults` tries all
IN_CI = OF_THE_SERVER if "LOSSGUARD_FAULTS_N" in os.environ else OF_THE_SERVER[:2]


async def caught(chaos: Chaos) -> list[str]:
    """The faults after as few kills as it takes."""
    async with chaos:
        while not chaos.faults and sum(chaos.kills.values()) < KILLS_MAX:
            await chaos.kill()
        return chaos.faults


@pytest.mark.parametrize(("sabotage", "word"), IN_CI)
async def test_a_sabotaged_server_is_caught(tmp_path: Path, sabotage: str, word: str) -> None:
    faults = await caught(Chaos(tmp_path, SEED, entry(sabotage, "-m", "lossguard_server"), trainers=0))
    assert any(word in fault for fault in faults), faults


async def test_a_trainer_that_forgets_before_it_is_acknowledged_is_caught(tmp_path: Path) -> None:
    chaos = Chaos(tmp_path, SEED, trainer_sabotage="prune_before_acknowledgement", trainers=1)
    async with chaos:
        for _ in range(3):
            await chaos.kill("server", frozen=1.0)
        await chaos.settle()
    assert any("the SDK's run" in fault and ("gap" in fault or "lost" in fault) for fault in chaos.faults), chaos.faults


async def test_the_same_course_without_a_sabotage_is_clean(tmp_path: Path) -> None:
    async with Chaos(tmp_path, SEED, trainers=1) as chaos:
        for _ in range(4):
            await chaos.kill()
        await chaos.settle()
        assert chaos.faults == []
