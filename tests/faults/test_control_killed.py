"""Random commands under kill -9: none applied twice, none lost, and what the trail says is what was in force.

LOSSGUARD_FAULTS_N sets the number of commands (`make faults N=2000`), LOSSGUARD_FAULTS_SEED repeats a run that failed.
"""

import os
import random
from pathlib import Path

import pytest

from faults.control_chaos import ControlChaos
from faults.control_checks import check_once
from faults.sabotage import entry
from lossguard.protocol.messages import Event

COMMANDS = int(os.environ.get("LOSSGUARD_FAULTS_N", "150"))
SEED = int(os.environ.get("LOSSGUARD_FAULTS_SEED", random.SystemRandom().randrange(1 << 31)))
EACH = 28  # commands between two kills
TIMEOUT_S = 240 + COMMANDS


@pytest.mark.skipif(
    "LOSSGUARD_FAULTS_N" not in os.environ,
    reason="it takes a minute, and fails now and then by what is listed as open; make faults runs it",
)
@pytest.mark.timeout(TIMEOUT_S)
def test_commands_under_kills_of_server_trainer_and_both(tmp_path: Path) -> None:
    print(f"LOSSGUARD_FAULTS_SEED={SEED}")
    with ControlChaos(tmp_path, SEED) as chaos:
        while len(chaos.operator.accepted) < COMMANDS:
            chaos.give(EACH)
            chaos.strike()
        chaos.give(EACH)
        chaos.settle()
        print(dict(chaos.kills), dict(chaos.operator.did), dict(chaos.states))
    assert chaos.faults == [], f"seed {SEED}"
    # a chaos that did nothing would pass too
    assert sum(chaos.kills.values()) >= COMMANDS // 30
    assert chaos.states["applied"] > COMMANDS / 10
    assert chaos.operator.did["set_weight"]


# (sabotage, whose, words of the sentence that must be said)
SABOTAGED = [
    ("applied_but_not_journalled", "trainer", "the trail"),
    ("replay_dropped", "server", "is not replayed"),
    ("replay_too_late", "server", "is replayed at"),
    ("operations_left_out_of_checkpoints", "trainer", "shown, step"),
]


IN_CI = SABOTAGED if "LOSSGUARD_FAULTS_N" in os.environ else SABOTAGED[:2]  # a quarter of a minute each


@pytest.mark.parametrize(("sabotage", "whose", "word"), IN_CI)
def test_a_sabotaged_control_is_caught(tmp_path: Path, sabotage: str, whose: str, word: str) -> None:
    program = ("-m", "lossguard_server")
    server = program if whose == "trainer" else entry(sabotage, *program)
    with ControlChaos(tmp_path, 5, server, sabotage if whose == "trainer" else "") as chaos:
        for _ in range(3):
            chaos.give(6)
            chaos.strike("trainer")
        chaos.settle()
    assert any(word in fault for fault in chaos.faults), chaos.faults


def test_a_command_that_is_applied_twice_is_named() -> None:
    applied = [Event(seq=1, kind="command", step=step, data={"id": "c1", "state": "applied"}) for step in (3, 9)]
    held = Event(seq=2, kind="resume", step=5, data={"operations": [[3, "c1", "gate", {}]]})
    assert check_once(applied[:1], "life 0") == []
    assert check_once(applied, "life 0") == ["life 0: doubled: command c1 was applied 2 times"]
    assert check_once([held, applied[1]], "life 1") == ["life 1: doubled: command c1 was applied 2 times"]
