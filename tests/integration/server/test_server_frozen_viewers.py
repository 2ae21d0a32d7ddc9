"""A tab that stops reading is freed within ten seconds, holds nobody up, and does not outlive the server."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from frozen_viewer import LARGE_BUFFER_BYTES, SMALL_BUFFER_BYTES, FrozenViewer
from processes import ServerProcess
from raw_trainer import RawTrainer
from server_inside import ADMIN, Viewer, running_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and TCP_USER_TIMEOUT are Linux's")
FREED_S = 10.0
ENDED_S = 10.0  # alone it takes two; kept up by a viewer it would take for ever
STUCK_BYTES = 128 << 10  # half of what the kernel takes on the server's side: sends wait, or soon will
SERIES = [f"loss__{index}" for index in range(10)]


async def train(trainer: RawTrainer, first: int, frames: int) -> int:
    """Frames of 10 series x 100 steps, 8 kB each; returns the step that comes next."""
    for frame in range(frames):
        steps = range(first + 100 * frame, first + 100 * (frame + 1))
        trainer.frame(steps, **{name: [float(step) for step in steps] for name in SERIES})
        await trainer.deliver()
        await asyncio.sleep(0.02)
    return first + 100 * frames


async def frozen(url: str, token: str, count: int, buffer_bytes: int = SMALL_BUFFER_BYTES) -> list[FrozenViewer]:
    return await asyncio.to_thread(lambda: [FrozenViewer(url, token, "r1", buffer_bytes) for _ in range(count)])


async def viewer_of(url: str, token: str) -> Viewer:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{url}/api/ticket", headers={"Authorization": f"Bearer {token}"})
    words = [Subprotocol("lossguard.live.1"), Subprotocol(f"ticket.{answer.json()['ticket']}")]
    address = url.replace("http", "ws", 1) + "/ws/live"
    viewer = Viewer(await connect(address, subprotocols=words, origin=Origin(url), compression=None, proxy=None))
    await viewer.subscribe("r1")
    await viewer.expect("subscribed")
    return viewer


@pytest.mark.parametrize("buffer_bytes", [SMALL_BUFFER_BYTES, LARGE_BUFFER_BYTES])
async def test_a_frozen_tab_is_freed_within_ten_seconds(tmp_path: Path, buffer_bytes: int) -> None:
    """Connection, mailbox and task: by the kernel's timer where the tab's buffer is full, by a ping where it is not."""
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        [tab] = await frozen(inside.url, ADMIN, 1, buffer_bytes)
        hub, sockets = inside.assembly._browsers._hub, inside.assembly._sockets
        step, began_s = 0, time.monotonic()
        with closing(tab):
            assert (len(hub._viewers), len(sockets), tab.is_held()) == (1, 2, True)
            while tab.is_held() or hub._viewers or len(sockets) > 1:
                assert time.monotonic() - began_s < FREED_S, (tab.is_held(), hub._viewers, sockets)
                step = await train(trainer, step, frames=10 if buffer_bytes == SMALL_BUFFER_BYTES else 1)
                await asyncio.sleep(0.1)


async def follow(viewer: Viewer, last_step: int) -> int:
    """How many points of the first series came, until the last one."""
    count = 0
    while True:
        message = await viewer.expect("points")
        steps = np.frombuffer(message["steps"])
        count += len(steps)
        if steps[-1] >= last_step:
            return count


async def test_twenty_frozen_of_a_hundred_cost_the_others_nothing(tmp_path: Path) -> None:
    async with AsyncExitStack() as ending:
        server = await started(tmp_path, ending)
        url, token = server.url, server.admin_token
        trainer = RawTrainer(url, server.ingest_token)
        await trainer.connect()
        for tab in await frozen(url, token, 20):
            ending.callback(tab.close)
        living = [await viewer_of(url, token) for _ in range(80)]
        following = [asyncio.create_task(follow(viewer, 5_999)) for viewer in living]
        await train(trainer, 0, 60)
        assert set(await asyncio.wait_for(asyncio.gather(*following), 60)) == {6_000}


async def test_the_server_ends_in_time_though_tabs_are_frozen(tmp_path: Path) -> None:
    async with AsyncExitStack() as ending:
        server = await started(tmp_path, ending)
        trainer, living = RawTrainer(server.url, server.ingest_token), await viewer_of(server.url, server.admin_token)
        await trainer.connect()
        tabs, step = await frozen(server.url, server.admin_token, 5), 0
        for tab in tabs:
            ending.callback(tab.close)
        while min(tab.stuck_bytes() for tab in tabs) < STUCK_BYTES:
            step = await train(trainer, step, 5)
            await follow(living, step - 1)
        began_s = time.monotonic()
        assert await asyncio.to_thread(server.stop) == 0
        assert time.monotonic() - began_s < ENDED_S
        assert await closed_with(living.socket) == 1012


async def started(folder: Path, ending: AsyncExitStack) -> ServerProcess:
    server = await asyncio.to_thread(ServerProcess(folder / "data").start)
    ending.push_async_callback(asyncio.to_thread, server.stop)
    return server


async def closed_with(socket: ClientConnection) -> int | None:
    """The close code, past what still was under way."""
    try:
        while True:
            msgspec.msgpack.decode(await socket.recv())
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else None
