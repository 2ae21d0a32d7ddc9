"""A viewer whose connection breaks goes on where it was, and one that shows little is sent little."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from raw_trainer import RawTrainer
from server_inside import Inside, Viewer, running_server


async def train(trainer: RawTrainer, steps: range) -> None:
    for step in steps:
        trainer.frame([step], loss__a=[float(step)], loss__b=[-float(step)])
        if step % 10 == 0:
            trainer.event("gap", step, reason="test")
        await trainer.deliver()


async def heard(viewer: Viewer, last_step: int) -> list[dict[str, Any]]:
    """What came of the run, until that step."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] != "points" or np.frombuffer(found[-1]["steps"])[-1] < last_step:
        message = msgspec.msgpack.decode(await asyncio.wait_for(viewer.socket.recv(), 10))
        if message["type"] != "run":
            found.append(message)
    return found


def steps_of(messages: list[dict[str, Any]]) -> list[float]:
    return [step for message in messages if message["type"] == "points" for step in np.frombuffer(message["steps"])]


def events_of(messages: list[dict[str, Any]]) -> list[int]:
    return [message["event"]["step"] for message in messages if message["type"] == "event"]


async def begun(inside: Inside) -> RawTrainer:
    trainer = inside.trainer()
    await trainer.connect()
    return trainer


async def test_a_broken_connection_leaves_no_gap_and_no_double(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, viewer = await begun(inside), await inside.watch("r1")
        await viewer.expect("subscribed")
        await train(trainer, range(50))
        found = await heard(viewer, 49)
        for broken in range(1, 5):
            viewer.socket.transport.abort()
            await train(trainer, range(50 * broken, 50 * broken + 25))
            viewer = await inside.watch("r1", cursor=found[-1]["cursor"])
            await train(trainer, range(50 * broken + 25, 50 * broken + 50))
            found += await heard(viewer, 50 * broken + 49)
        assert steps_of(found) == list(range(250))
        assert events_of(found) == list(range(0, 250, 10))
        assert all("cursor" in message for message in found)
        assert "resync" not in {message["type"] for message in found}


async def test_after_a_restart_of_the_server_everything_is_loaded_again(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, viewer = await begun(inside), await inside.watch("r1")
        await viewer.expect("subscribed")
        await train(trainer, range(3))
        cursor = (await heard(viewer, 2))[-1]["cursor"]
        trainer.disconnect()
    async with running_server(tmp_path) as inside:
        viewer = await inside.watch("r1", cursor=cursor)
        assert (await viewer.expect("subscribed"))["resumed"] is False
        resync = await viewer.expect("resync")
        assert (resync["run"], resync["cursor"] != cursor) == ("r1", True)


async def test_points_hold_only_the_series_that_were_asked_for(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, viewer = await begun(inside), await inside.watch("r1", series=["loss/b"], others=True)
        await viewer.expect("subscribed")
        await train(trainer, range(1))
        first, others = await viewer.expect("points"), await viewer.expect("points")
        assert (first["series"], "conflated" in first) == (["loss/b"], False)
        assert (others["series"], others["conflated"]) == (["loss/a"], True)
        await viewer.subscribe("r1", series=["loss/a"])
        assert (await viewer.expect("subscribed"))["resumed"] is True
        await train(trainer, range(1, 2))
        assert (await viewer.expect("points"))["series"] == ["loss/a"]
