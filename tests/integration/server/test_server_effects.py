"""A command from press to verdict, and its dry run, over real sockets."""

import asyncio
import time
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import numpy as np
import pytest

from lossguard.protocol.messages import Command, ControlsSpec, Event, StageSpec
from raw_trainer import RawTrainer
from server_inside import Inside, running_server

CONTROLS = ControlsSpec(["set_weight", "revert", "pause"], {"aux": (0.0, 1.0)})
STAGES = [StageSpec("all", 0, {"ce": 1.0, "aux": 0.01})]
LOWER = {"kind": "set_weight", "args": {"component": "aux", "value": 0.001}, "idempotency_key": "k1"}
DEADLINE_S = 30.0


async def training(inside: Inside) -> RawTrainer:
    """A run of 200 steps in which aux holds 76 % of the total."""
    trainer = inside.trainer("r1")
    await trainer.connect()
    trainer.declare(components=["ce", "aux"], controls=CONTROLS, stages=STAGES)
    train(trainer, 0, 200)
    await trainer.deliver()
    return trainer


def train(trainer: RawTrainer, first: int, behind: int, weight: float = 0.01) -> None:
    noise = np.exp(0.02 * np.random.default_rng(first).standard_normal((2, behind - first)))
    ce, aux = 2.2 * noise[0], 700.0 * noise[1]
    trainer.frame(
        range(first, behind), loss__total=ce + weight * aux, loss__ce=ce, loss__aux=aux,
        weight__ce=np.ones_like(ce), weight__aux=np.full_like(aux, weight),
    )  # fmt: skip


async def judged(inside: Inside, number: int = 1) -> dict[str, Any]:
    """The command, when it has its verdict."""
    until_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < until_s:
        for command in await inside.items("/api/runs/r1/commands"):
            if command["number"] == number and command["effect"] is not None:
                return dict(command)
        await asyncio.sleep(0.05)
    raise AssertionError("no verdict came")


async def press(inside: Inside, trainer: RawTrainer, at_step: int, **body: Any) -> Command:
    """Give the command, and have it applied."""
    answer = await inside.http.post("/api/runs/r1/commands", json={**LOWER, **body})
    assert answer.status_code == 201, answer.text
    command = await trainer.expect(Command)
    told = {"id": command.id, "state": "applied", "kind": command.kind, "args": command.args, "ranks": 1}
    trainer.messages.append(Event(seq=trainer.next_seq, kind="command", step=at_step, data=told))
    return command


async def test_from_press_to_verdict(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await training(inside)
        viewer = await inside.watch("r1")
        await press(inside, trainer, 200)
        train(trainer, 200, 260, weight=0.001)
        await trainer.deliver()
        command = await judged(inside)
        effect = command["effect"]
        assert (effect["verdict"], effect["at_step"], effect["steps"], effect["decided"]) == ("worked", 200, 50, True)
        assert effect["text"].startswith("The share of aux went from 76 % to 24 % in 50 steps")
        while (told := (await viewer.expect("command"))["command"])["effect"] is None:
            pass
        assert told["effect"] == effect
        entry = next(each for each in await inside.items("/api/runs/r1/audit") if each["what"] == "command judged")
        assert (entry["detail"]["command"], entry["detail"]["verdict"]) == (command["id"], "worked")


async def test_a_fault_in_another_service_keeps_no_verdict_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_server(tmp_path) as inside:
        look: Any = AsyncMock(side_effect=RuntimeError("a fault"))
        inside.assembly._abandoned._look = look  # type: ignore[method-assign]
        trainer = await training(inside)
        await press(inside, trainer, 200)
        train(trainer, 200, 260, weight=0.001)
        await trainer.deliver()
        while look.await_count < 2:
            await asyncio.sleep(0.05)
        assert (await judged(inside))["effect"]["verdict"] == "worked"
    assert [each.getMessage() for each in caplog.records].count("expiring commands failed, and is tried again") == 1


async def test_a_server_that_restarts_in_between_judges_all_the_same(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await training(inside)
        await press(inside, trainer, 200)
        train(trainer, 200, 220, weight=0.001)
        await trainer.deliver()
        trainer.disconnect()
    async with running_server(tmp_path) as inside:
        later = inside.trainer("r1")
        later.messages, later._ids = trainer.messages, trainer._ids
        await later.connect()
        train(later, 220, 260, weight=0.001)
        await later.deliver()
        assert (await judged(inside))["effect"]["verdict"] == "worked"


async def test_a_revert_is_judged_too(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await training(inside)
        command = await press(inside, trainer, 200)
        train(trainer, 200, 260, weight=0.001)
        await trainer.deliver()
        await press(inside, trainer, 260, kind="revert", args={"command": command.id}, idempotency_key="k2")
        train(trainer, 260, 330)
        await trainer.deliver()
        effect = (await judged(inside, 2))["effect"]
        assert (effect["verdict"], effect["at_step"]) == ("worked", 260)
        assert effect["text"].startswith("The share of aux went from 24 % to 76 %")


async def test_a_dry_run_answers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await training(inside)
        before = await inside.items("/api/runs/r1/audit")
        answer = await inside.http.post("/api/runs/r1/commands", json={**LOWER, "dry_run": True})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["dry_run"], found["from"], found["to"], len(found["steps"])) == (True, 0, 199, 200)
        assert found["share"]["aux"] == pytest.approx({"before": 7 / 9.2, "after": 0.7 / 2.9}, rel=0.02)
        assert found["total"]["after"][0] == pytest.approx(2.9, rel=0.1)
        assert found["now"]["weight"]["aux"] == {"before": 0.01, "after": 0.001}
        assert await inside.items("/api/runs/r1/commands") == []
        assert await inside.items("/api/runs/r1/audit") == before
        trainer.disconnect()


async def test_a_dry_run_with_values_that_are_not_finite(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await training(inside)
        nan = [float("nan")]
        trainer.frame([200], loss__total=nan, loss__ce=[1.0], loss__aux=nan, weight__ce=[1.0], weight__aux=[0.01])
        await trainer.deliver()
        answer = await inside.http.post("/api/runs/r1/commands", json={**LOWER, "dry_run": True})
        assert answer.json()["total"]["after"][-1] == "NaN"
        assert answer.json()["now"]["share"]["aux"] == {"before": None, "after": None}
