"""Bad networks between a trainer and the server: the stream completes, each point once."""

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import lossguard as lg
from faults.evidence import collect
from faults.history import check_points, check_run
from faults.hostile import HostileStream
from faults.proxy import Proxy
from faults.trainer_life import bits_at
from journal_reader import stored_points
from lossguard.protocol.messages import Hello
from processes import ServerProcess

HALF_OPEN_S = 20.0  # the SDK's promise with its own ping times


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[tuple[Proxy, ServerProcess]]:
    """A proxy, and a server that answers to its name."""
    async with Proxy() as proxy:
        name = f"127.0.0.1:{proxy.port}"
        server = ServerProcess(folder / "data", options=["--allow-host", name])
        await asyncio.to_thread(server.start)
        proxy.target = server.port
        try:
            yield proxy, server
        finally:
            await asyncio.to_thread(server.stop)


def begin(proxy: Proxy, server: ServerProcess, folder: Path) -> lg.Run:
    return lg.init("p", "n", url=proxy.url, token=server.admin_token, dir=folder / "spool", handle_sigterm=False)


def log(run: lg.Run, first: int, last: int) -> None:
    for step in range(first, last):
        run.log({"x": struct.unpack("<d", struct.pack("<Q", bits_at(step)))[0]}, step=step)


def stored_steps(server: ServerProcess, run: str) -> int:
    return len(stored_points(server.folder, run).get("x", []))


def check(server: ServerProcess, run: str, count: int) -> None:
    """All of it, once, in order, with its bits, and no gap."""
    server.stop()  # nobody writes while the file is copied
    evidence = collect(server.folder)
    expected = {"x": [(step, bits_at(step)) for step in range(count)]}
    assert check_points([expected], {"x": evidence.points[run]["x"]}) == []
    assert evidence.gaps(run) == []


@pytest.mark.parametrize(
    ("chunk_bytes", "pause_s", "steps"), [(1, 0.0, 500), (64, 0.002, 3_000)], ids=["byte by byte", "a trickle"]
)
async def test_in_small_pieces(tmp_path: Path, chunk_bytes: int, pause_s: float, steps: int) -> None:
    async with world(tmp_path) as (proxy, server):
        proxy.chunk_bytes, proxy.pause_s = chunk_bytes, pause_s
        run = begin(proxy, server, tmp_path)
        log(run, 0, steps)
        await asyncio.to_thread(run.finish, 60)
        check(server, run.id, steps)


async def test_resets_in_the_middle_of_messages(tmp_path: Path) -> None:
    """Each connection is cut at a random byte: in the handshake, in a header, in a frame, in an acknowledgement."""
    async with world(tmp_path) as (proxy, server):
        proxy.cuts = random.Random(4)
        address = (proxy.url.replace("http", "ws", 1) + "/ws/trainer", server.admin_token)
        stream = HostileStream(lambda: address, Hello(run="cut", project="p", name="n"), 4, hostility=0.0)
        running = asyncio.create_task(stream.run())
        async with asyncio.timeout(60):
            while proxy.resets < 60:
                await asyncio.sleep(0.01)
        proxy.cuts = None
        stream.stop()
        await running
        await stream.drain()
        server.stop()
    evidence = collect(server.folder)
    assert stream.faults == []
    assert check_run([stream.logged], list(evidence.streams["cut"].values()), evidence.points["cut"]) == []
    assert stream.logged.acked_seq > 60


async def test_resets_of_the_sdk(tmp_path: Path) -> None:
    async with world(tmp_path) as (proxy, server):
        run = begin(proxy, server, tmp_path)
        for number in range(5):
            log(run, 200 * number, 200 * number + 200)
            async with asyncio.timeout(30):
                while stored_steps(server, run.id) < 200 * number + 1:
                    await asyncio.sleep(0.02)
            proxy.reset_all()
        await asyncio.to_thread(run.finish, 60)
        assert proxy.connections > 3
        check(server, run.id, 1_000)


@pytest.mark.parametrize("ping_s", [1.0])
async def test_a_half_open_connection_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ping_s: float) -> None:
    """Nothing passes and nothing closes: the trainer's pings find out, and a new connection takes the stream over."""
    monkeypatch.setattr("lossguard.link.PING_S", ping_s)
    async with world(tmp_path) as (proxy, server):
        run = begin(proxy, server, tmp_path)
        log(run, 0, 100)
        async with asyncio.timeout(30):
            while stored_steps(server, run.id) < 100:
                await asyncio.sleep(0.02)
        proxy.is_black_hole = True
        log(run, 100, 200)
        async with asyncio.timeout(HALF_OPEN_S):
            while proxy.connections < 2:
                await asyncio.sleep(0.02)
        proxy.is_black_hole = False
        log(run, 200, 300)
        await asyncio.to_thread(run.finish, 60)
        check(server, run.id, 300)
