"""A viewer sees what happens, as it happens; numbers are themselves; nothing is missed between load and live."""

import asyncio
import math
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from lossguard.protocol.messages import Command, ControlsSpec
from server_inside import running_server


async def test_points_alerts_events_and_runs_arrive(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, viewer = inside.trainer(), await inside.watch("r1")
        await trainer.connect()
        assert (await viewer.expect("run"))["run"]["state"] == "waiting"
        trainer.declare(components=["ce"])
        trainer.frame([0, 1], loss__ce=[1.0, math.nan], weight__ce=[0.5, 0.5])
        trainer.event("nonfinite", 1, series=["loss/ce"])
        await trainer.deliver()
        await viewer.expect("declaration")
        assert (await viewer.expect("event"))["event"]["data"] == {"series": ["loss/ce"]}
        alert = (await viewer.expect("alert"))["alert"]
        assert (alert["rule"], alert["step"], alert["state"]) == ("nonfinite", 1, "firing")


async def test_points_are_the_committed_bits(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, viewer = inside.trainer(), await inside.watch("r1")
        await trainer.connect()
        await viewer.expect("run")
        trainer.frame([0, 1, 5], loss__ce=[1.5, -0.0, math.nan], weight__ce=[0.5, 0.5, 0.5])
        await trainer.deliver()
        points = await viewer.expect("points")
        assert (points["run"], points["series"], points["n"]) == ("r1", ["loss/ce", "weight/ce", "contribution/ce"], 3)
        assert np.frombuffer(points["steps"]).tolist() == [0.0, 1.0, 5.0]
        values = np.frombuffer(points["values"]).reshape(3, 3)
        assert values[0].tobytes() == np.array([1.5, -0.0, math.nan]).tobytes()
        assert values[2, 0] == 0.75


async def test_subscribe_then_load_then_merge_misses_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()

        async def train() -> None:
            for step in range(300):
                trainer.frame([step], loss__total=[float(step)])
                await trainer.deliver()

        training = asyncio.create_task(train())
        viewer = await inside.watch("r1")
        loaded = await inside.get("/api/runs/r1/points", series="loss/total")
        seen = dict(zip(loaded["series"]["loss/total"]["step"], loaded["series"]["loss/total"]["last"], strict=True))
        while 299 not in seen:
            points = await viewer.expect("points")
            seen |= dict(zip(np.frombuffer(points["steps"]), np.frombuffer(points["values"]), strict=True))
        await training
        assert seen == {step: float(step) for step in range(300)}


async def test_a_command_is_seen_through_its_life(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, viewer = inside.trainer(), await inside.watch("r1")
        await trainer.connect()
        trainer.declare(controls=ControlsSpec(["pause"]))
        await trainer.deliver()
        await viewer.expect("run")
        await inside.http.post("/api/runs/r1/commands", json={"kind": "pause", "idempotency_key": "k"})
        command = await trainer.expect(Command)
        for state in ("received", "applied"):
            trainer.event("command", 5, id=command.id, state=state, old="running", new="paused")
        await trainer.deliver()
        lives = [(await viewer.expect("command"))["command"] for _ in range(4)]
        assert [command["state"] for command in lives] == ["queued", "sent", "received", "applied"]
        assert lives[-1]["step"] == 5


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_a_foreign_page_gets_no_socket(tmp_path: Path, origin: str) -> None:
    async with running_server(tmp_path) as inside:
        with pytest.raises(InvalidStatus) as refused:
            await inside.watch("r1", origin=origin)
        assert refused.value.response.status_code == 403


async def test_a_used_ticket_is_told_by_a_close_code(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        async with connect(
            inside.url.replace("http", "ws", 1) + "/ws/live",
            subprotocols=[Subprotocol("lossguard.live.1"), Subprotocol("ticket.guess")],
            origin=Origin(inside.url),
            proxy=None,
        ) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


@pytest.mark.parametrize("message", [b"junk", b"\x81", "text", b"\x93", b"x" * 5_000])
async def test_a_viewer_that_talks_nonsense_is_closed(tmp_path: Path, message: bytes | str) -> None:
    async with running_server(tmp_path) as inside:
        viewer = await inside.watch()
        await viewer.socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            await viewer.expect("nothing")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
