"""Commands under a real torchrun: the same step on every rank, none twice, none lost."""

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from torchrun import torchrun

COMMANDS = 200


def obeys(rank: int, folder: Path) -> dict[str, Any]:
    from ranked_training import Operator, RankedTraining, patiently

    training = RankedTraining(folder, folder.name, served=True)
    chance = random.Random(5)

    def operate(operator: Operator) -> None:
        for _ in range(COMMANDS):
            component = chance.choice(["fit", "shape"])
            if chance.random() < 0.5:
                operator.send("set_weight", component=component, value=chance.random(), ramp_steps=chance.randint(1, 9))
            elif chance.random() < 0.5:
                operator.send("scale_weights", factor=1.0 + 0.01 * chance.random(), lease_steps=chance.randint(1, 9))
            else:
                operator.send("set_lr_scale", value=0.5 + chance.random())
            time.sleep(chance.random() * 0.01)  # at random within the steps
        patiently(lambda: len(training.states()) == COMMANDS, "all commands have arrived")
        patiently(lambda: all(map(operator.settled, training.states())), "all have come to something")
        operator.send("stop")

    operator = Operator(training, operate) if rank == 0 else None
    training.train(iter(lambda: training.batches(1)[0], None), training.skew).finish()
    found: dict[str, Any] = {
        "applied": training.applied(),
        "weights": training.weights,
        "bits": training.bits(),
        "step": training.run.step,
        "state": training.run.state,
    }
    if operator is not None:
        operator.joined()
        found["states"] = training.states()
    training.close()
    return found


WORLDS = [("ddp", 2), ("fsdp", 2), *([("ddp", 4)] if "LOSSGUARD_FAULTS_N" in os.environ else [])]  # four on two cores


@pytest.mark.parametrize(("kind", "world"), WORLDS)
def test_random_commands_are_applied_at_the_same_step_on_every_rank(tmp_path: Path, kind: str, world: int) -> None:
    (folder := tmp_path / kind).mkdir()
    job = torchrun(obeys, world, folder, at_once=kind == "fsdp")
    assert job.status == 0, job.printed
    first = job.returned[0]
    states = {id: each for id, each in first["states"].items() if id != f"c{COMMANDS + 1}"}
    assert len(states) == COMMANDS
    ends = {id: [each for each in story if each[0] != "received"] for id, story in states.items()}
    assert all(len(end) == 1 for end in ends.values()), "one end each: none twice, none lost"
    told = sorted((id, end[0][1]) for id, end in ends.items() if end[0][0] == "applied")
    assert len(told) > COMMANDS / 2
    for rank in range(world):
        mine = job.returned[rank]
        assert sorted((id, step) for id, step, _ in mine["applied"]) == told
        for what in ("applied", "weights", "bits", "step", "state"):
            assert mine[what] == first[what], what
    assert first["state"] == "stopped"
