"""A run is deleted beside a viewer that watches it, and begins anew under the same name."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from raw_trainer import RawTrainer
from server_inside import Inside, Viewer, running_server


async def begun(inside: Inside, value: float, steps: range) -> RawTrainer:
    trainer = inside.trainer()
    await trainer.connect()
    for step in steps:
        trainer.frame([step], loss__a=[value])
    await trainer.deliver()
    return trainer


async def until(viewer: Viewer, kind: str) -> list[dict[str, Any]]:
    """What came, up to the first message of that type."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] != kind:
        found.append(msgspec.msgpack.decode(await asyncio.wait_for(viewer.socket.recv(), 10)))
    return found


async def test_viewers_are_told_that_a_run_is_gone_and_resume_nothing_of_it(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        viewer = await inside.watch("r1")
        await viewer.expect("subscribed")
        trainer = await begun(inside, 1.0, range(3))
        cursor = (await until(viewer, "points"))[-1]["cursor"]
        gone = "/api/runs/r1?now=true"
        assert (await inside.http.delete(gone)).json()["error"] == "run_connected"
        await trainer.socket.close()
        while (await inside.http.delete(gone)).status_code == 409:
            await asyncio.sleep(0.01)
        assert (await viewer.expect("gone"))["run"] == "r1"
        await begun(inside, 2.0, range(3, 6))
        back = await inside.watch("r1", cursor=cursor)
        assert (await back.expect("subscribed"))["resumed"] is False
        await back.expect("resync")
        await viewer.subscribe("r1")
        found = await until(viewer, "subscribed")
        assert "points" not in {message["type"] for message in found}, "it watched nothing"
        answer = await inside.get("/api/runs/r1/series")
        assert [(series["name"], series["last_step"]) for series in answer["items"]] == [("loss/a", 5)]
