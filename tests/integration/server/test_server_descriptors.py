"""A server with few descriptors and a crowd at its door: trainers and commands go on, and it recovers by itself."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import httpx
import pytest

from processes import ServerProcess, until
from raw_trainer import RawTrainer

DESCRIPTORS = 128
CROWD = 400
ENTRY = (
    "import resource, sys; from lossguard_server.cli import main;"
    f"resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS})); sys.exit(main())"
)


def descriptors_of(server: ServerProcess) -> int:
    assert server._process is not None
    return len(os.listdir(f"/proc/{server._process.pid}/fd"))


def answers(server: ServerProcess) -> bool:
    """True when a new connection is answered; one that waits behind a crowd may be sent away, and asks again."""
    with contextlib.suppress(httpx.TransportError):
        return server.get("/api/runs")["items"][0]["id"] == "r1"
    return False


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
async def test_a_crowd_of_connections_keeps_nobody_from_working(tmp_path: Path) -> None:
    server = await asyncio.to_thread(ServerProcess(tmp_path / "data", ("-c", ENTRY)).start)
    trainer = RawTrainer(server.url, server.ingest_token)
    crowd: list[socket.socket] = []
    try:
        await trainer.connect()
        trainer.frame([1], loss__total=[1.0])
        await trainer.deliver()
        alone = descriptors_of(server)
        for _ in range(CROWD):
            crowd.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            assert descriptors_of(server) < DESCRIPTORS
        for step in range(2, 20):
            trainer.frame([step], loss__total=[1.0])
            await trainer.deliver()
        await asyncio.to_thread(until, lambda: answers(server), "a viewer is answered beside the crowd", 10)
        assert descriptors_of(server) > alone, "the crowd was there"
        while crowd:
            crowd.pop().close()
        await asyncio.to_thread(until, lambda: descriptors_of(server) <= alone + 2, "the crowd is forgotten", 10)
        trainer.frame([20], loss__total=[1.0])
        await trainer.deliver()
        assert answers(server)
    finally:
        for one in crowd:
            one.close()
        await trainer.socket.close()
        assert await asyncio.to_thread(server.stop) == 0
    log = (tmp_path / "data-server.log").read_text()
    assert len(log.splitlines()) <= 5, log[:2_000]
